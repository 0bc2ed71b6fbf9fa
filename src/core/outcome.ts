import { StorageFault } from "./storage.ts";

/** An HTTP answer as far as it matters for going on. */
export interface AnswerHead {
  readonly status: number;
  /** S3's error code from the XML body, if there is one. */
  readonly s3Code?: string | undefined;
  readonly retryAfterMs?: number | undefined;
}

/** `signature`: S3 may take the same request signed anew. */
export type PutOutcome = { readonly kind: "stored" } | { readonly kind: "signature" } | StorageFault;

/**
 * What S3's answer to a PUT of bytes means.
 * Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
 */
export function classifyPut({ status, s3Code = "", retryAfterMs }: AnswerHead): PutOutcome {
  const details = {
    detail: `${status} ${s3Code}`.trim(),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
  if (status >= 200 && status < 300) return { kind: "stored" };
  // Expired, of a skewed clock, of rotated credentials, or truly denied: the next signature tells which.
  if (status === 401 || status === 403 || EXPIRED.has(s3Code)) return { kind: "signature" };
  // Ceph says NoSuchKey of the upload, too.
  if (status === 404 && s3Code !== "NoSuchBucket") return new StorageFault("gone", "UPLOAD_GONE", details);
  if (DAMAGED.has(s3Code)) return new StorageFault("transient", "BAD_DIGEST", details);
  if (status === 429 || status === 503 || THROTTLED.has(s3Code))
    return new StorageFault("transient", "SLOW_DOWN", details);
  if (isBusyStatus(status) || BROKEN_OFF.has(s3Code))
    return new StorageFault("transient", "SERVER_ERROR", details);
  if (s3Code === "EntityTooLarge") return new StorageFault("permanent", "FILE_TOO_LARGE", details);
  return new StorageFault("permanent", "FORBIDDEN", details);
}

// Temporary credentials have ended.
const EXPIRED: ReadonlySet<string> = new Set(["ExpiredToken", "InvalidToken", "TokenRefreshRequired"]);
const DAMAGED: ReadonlySet<string> = new Set(["BadDigest", "XAmzContentChecksumMismatch"]);
const THROTTLED: ReadonlySet<string> = new Set([
  "SlowDown",
  "Throttling",
  "TooManyRequests",
  "RequestLimitExceeded",
]);
const BROKEN_OFF: ReadonlySet<string> = new Set(["IncompleteBody", "RequestTimeout", "OperationAborted"]);

/** What the app's server says by a status alone, when its body says nothing. */
export function classifyStatus({ status, retryAfterMs }: AnswerHead): StorageFault {
  const detail = String(status);
  if (status === 401) return new StorageFault("unauthorized", "UNAUTHORIZED", { detail });
  if (status === 403) return new StorageFault("permanent", "FORBIDDEN", { detail });
  if (isBusyStatus(status))
    return new StorageFault("transient", status === 429 || status === 503 ? "SLOW_DOWN" : "SERVER_ERROR", {
      detail,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
  // Also what a captive portal says, so it is worth some more tries.
  return new StorageFault("transient", "SERVER_RESPONSE_INVALID", { detail });
}

function isBusyStatus(status: number): boolean {
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
