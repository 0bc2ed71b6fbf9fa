import type { UploadErrorCode } from "./errors.ts";
import { type FaultKind, StorageFault } from "./storage.ts";

/** An HTTP answer as far as it matters for going on. */
export interface AnswerHead {
  readonly status: number;
  /** S3's error code from the XML body, if there is one. */
  readonly s3Code?: string | undefined;
  readonly retryAfterMs?: number | undefined;
}

/**
 * - `stored`: S3 has it.
 * - `signature`: S3 may accept the same request signed anew.
 * - `notStored`: S3 has refused it for now, and so does not have it.
 * - `fault`: it failed, and S3 may have it or not.
 */
export type PutOutcome =
  | { readonly kind: "stored" }
  | { readonly kind: "signature" }
  | { readonly kind: "notStored" | "fault"; readonly fault: StorageFault };

/**
 * Classifies the answer to a PUT of bytes. Steps that can't be undone need one of S3's own error codes: a
 * bare status may come from a firewall, a portal or a gateway on the way. Codes:
 * https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
 */
export function classifyPut({ status, s3Code = "", retryAfterMs }: AnswerHead): PutOutcome {
  const details = {
    detail: `${status} ${s3Code}`.trim(),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  };
  const fault = (...[kind, code]: [FaultKind, UploadErrorCode]) =>
    ({ kind: "fault", fault: new StorageFault(kind, code, details) }) as const;
  if (status >= 200 && status < 300) return { kind: "stored" };
  // Expired, of a skewed clock, of rotated credentials, or truly denied: the next signature tells which.
  if (s3Code !== "" && (status === 401 || status === 403 || EXPIRED.has(s3Code)))
    return { kind: "signature" };
  // Ceph says NoSuchKey of the upload, too. Whether it is so, the list of its parts tells.
  if (s3Code === "NoSuchUpload" || s3Code === "NoSuchKey") return fault("transient", "UPLOAD_GONE");
  // Another object is there; or this one, if the answer to an earlier try was lost.
  if (s3Code === "PreconditionFailed") return fault("transient", "OBJECT_EXISTS");
  if (DAMAGED.has(s3Code)) return fault("transient", "BAD_DIGEST");
  if (status === 429 || status === 503 || THROTTLED.has(s3Code))
    return { kind: "notStored", fault: new StorageFault("transient", "SLOW_DOWN", details) };
  if (isOverloadStatus(status) || BROKEN_OFF.has(s3Code)) return fault("transient", "SERVER_ERROR");
  if (s3Code === "EntityTooLarge") return fault("permanent", "FILE_TOO_LARGE");
  if (HOPELESS.has(s3Code)) return fault("permanent", "FORBIDDEN");
  return fault("transient", "STORAGE_RESPONSE_INVALID");
}

/** Temporary credentials have ended. */
const EXPIRED: ReadonlySet<string> = new Set(["ExpiredToken", "InvalidToken", "TokenRefreshRequired"]);
const DAMAGED: ReadonlySet<string> = new Set(["BadDigest", "XAmzContentChecksumMismatch"]);
const THROTTLED: ReadonlySet<string> = new Set([
  "SlowDown",
  "Throttling",
  "TooManyRequests",
  "RequestLimitExceeded",
]);
const BROKEN_OFF: ReadonlySet<string> = new Set(["IncompleteBody", "RequestTimeout", "OperationAborted"]);
/**
 * S3's error codes for requests that fail again however often they are repeated, until the bucket or the
 * app's set-up is changed.
 */
const HOPELESS: ReadonlySet<string> = new Set([
  "InvalidArgument",
  "InvalidBucketName",
  "InvalidRequest",
  "MethodNotAllowed",
  "NoSuchBucket",
  "NotImplemented",
  "PermanentRedirect",
]);

/**
 * Classifies a bare status of the app's server, or of a proxy in front of it. No such fault counts as
 * permanent.
 */
export function classifyStatus({ status, retryAfterMs }: AnswerHead): StorageFault {
  const details = { detail: String(status), ...(retryAfterMs !== undefined && { retryAfterMs }) };
  if (status === 401) return new StorageFault("unauthorized", "UNAUTHORIZED", details);
  if (status === 413) return new StorageFault("transient", "REQUEST_TOO_LARGE", details);
  if (status === 429 || status === 503) return new StorageFault("transient", "SLOW_DOWN", details);
  if (isOverloadStatus(status)) return new StorageFault("transient", "SERVER_ERROR", details);
  // A firewall's 403, a portal's 200, a 404 while the app is being deployed.
  return new StorageFault("transient", "SERVER_RESPONSE_INVALID", details);
}

function isOverloadStatus(status: number): boolean {
  return status === 408 || status === 425 || status === 429 || status >= 500;
}

/** `Retry-After` as seconds or as a date (RFC 9110, 10.2.3), in milliseconds from `now`; undefined where it is neither. */
export function parseRetryAfter(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  const text = header.trim();
  // `Date.parse` alone takes "-5" for a date.
  const date = / GMT$/.test(text) ? Date.parse(text) : Number.NaN;
  const ms = /^\d+$/.test(text) ? Number(text) * 1_000 : date - now;
  // A server that asks for more than this is wrong about phones.
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), 3_600_000) : undefined;
}
