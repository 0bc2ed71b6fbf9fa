/** What went wrong, for programs. Each code's meaning and remedy stand in `error-messages.ts`. */
export type UploadErrorCode =
  | "KEY_INVALID"
  | "FILE_TOO_LARGE"
  | "FILE_TYPE_REFUSED"
  | "FILE_INVALID"
  | "FILE_MISMATCH"
  | "PART_SIZE_INVALID"
  | "OPTION_INVALID"
  | "NOT_SUPPORTED"
  | "PROTOCOL_MISMATCH"
  | "WORKER_UNREACHABLE"
  | "CONNECTION_CLOSED"
  | "DATABASE_UNAVAILABLE"
  | "DATABASE_CLOSED"
  | "DATABASE_TOO_NEW"
  | "OWNER_CHANGED"
  | "UPLOAD_NOT_FOUND"
  | "STATE_INVALID"
  | "QUOTA_EXCEEDED"
  | "FILE_LOST"
  | "FILE_PERMISSION"
  | "FILE_CHANGED"
  | "CONDITIONS_UNMET"
  | "CANCELED"
  | "REQUEST_INVALID"
  | "TOKEN_INVALID"
  | "TOKEN_EXPIRED"
  | "UNAUTHORIZED"
  | "FORBIDDEN"
  | "UPLOAD_GONE"
  | "PARTS_MISMATCH"
  | "VERIFICATION_FAILED"
  | "STORAGE_RESPONSE_INVALID"
  | "SERVER_RESPONSE_INVALID"
  | "OBJECT_EXISTS"
  | "REQUEST_TOO_LARGE"
  | "RATE_LIMITED"
  | "SERVER_ERROR"
  | "SLOW_DOWN"
  | "STALLED"
  | "BAD_DIGEST"
  | "STORAGE_UNREACHABLE"
  | "CHECKSUM_UNAVAILABLE"
  | "INTERNAL"
  | "NETWORK";

/** An error as it crosses `postMessage`, IndexedDB and JSON, where classes and `code` would be lost. */
export interface UploadErrorWire {
  readonly code: UploadErrorCode;
  /** What the code alone doesn't say; "" if nothing. */
  readonly detail: string;
}

/**
 * Every error of Backhaul. `code` is for programs. Where people may see it, in pages and in answers of the server, `message`
 * says what to do about it; the worker leaves those sentences out, to stay small.
 */
export class UploadError extends Error {
  // A literal, not `constructor.name`, which minifiers change.
  override readonly name = "UploadError";

  constructor(
    readonly code: UploadErrorCode,
    readonly detail = "",
    options?: ErrorOptions,
  ) {
    super(detail ? `${code}: ${detail}` : code, options);
  }
}

/** By name, since a page may hold two copies of this module. */
export function isUploadError(value: unknown): value is UploadError {
  return value instanceof Error && value.name === "UploadError";
}

export function toWire({ code, detail }: UploadErrorWire): UploadErrorWire {
  return { code, detail };
}

/** Codes of newer versions pass; what gives them their sentence has one for those too. */
export function looksLikeErrorCode(value: unknown): value is UploadErrorCode {
  return typeof value === "string" && /^[A-Z_]{1,40}$/.test(value);
}
