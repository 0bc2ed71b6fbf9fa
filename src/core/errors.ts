/** The kinds of fault, for programs to branch on. `error-messages.ts` has each code's meaning and remedy. */
export type UploadErrorCode =
  | "KEY_INVALID"
  | "FILE_TOO_LARGE"
  | "FILE_TYPE_REFUSED"
  | "FILE_INVALID"
  | "FILE_UNREADABLE"
  | "FILE_MISMATCH"
  | "PART_SIZE_INVALID"
  | "OPTION_INVALID"
  | "NOT_SUPPORTED"
  | "PROTOCOL_MISMATCH"
  | "WORKER_UNREACHABLE"
  | "WORKER_NOT_SERVING"
  | "WORKER_REFUSED"
  | "WORKER_SCRIPT_INVALID"
  | "WORKER_WAITING"
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
  /** The kind of fault. */
  readonly code: UploadErrorCode;
  /** What the code alone doesn't say, such as S3's own error code or a size; "" if nothing. For logs, in English. */
  readonly detail: string;
}

/**
 * The class of all of Backhaul's errors. `code` is for programs. `message` is for people and says what to do, on pages and in
 * the server's answers; in the worker it is only the code and the detail, to keep the worker small.
 */
export class UploadError extends Error {
  /** A literal, since minifiers change `constructor.name`. `isUploadError` goes by it. */
  override readonly name = "UploadError";

  constructor(
    /** The kind of fault, for programs to branch on. */
    readonly code: UploadErrorCode,
    /** What the code alone doesn't say, such as S3's own error code or a size; "" if nothing. For logs, in English. */
    readonly detail = "",
    options?: ErrorOptions,
  ) {
    super(detail ? `${code}: ${detail}` : code, options);
  }
}

/** Whether this is an `UploadError`, judged by its name: a page may hold two copies of this module, each with its own class. */
export function isUploadError(value: unknown): value is UploadError {
  return value instanceof Error && value.name === "UploadError";
}

export function toWire({ code, detail }: UploadErrorWire): UploadErrorWire {
  return { code, detail };
}

/** Whether this may be a code, of a newer version too: `messageOf` has a sentence for codes that it doesn't know. */
export function looksLikeErrorCode(value: unknown): value is UploadErrorCode {
  return typeof value === "string" && /^[A-Z_]{1,40}$/.test(value);
}
