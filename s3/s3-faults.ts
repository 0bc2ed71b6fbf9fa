import { UploadError, type UploadErrorCode } from "../src/core/errors.ts";
import { parseRetryAfter } from "../src/core/outcome.ts";
import { type FaultKind, StorageFault } from "../src/core/storage.ts";

/**
 * An SDK error without what must not get into logs: `SignatureDoesNotMatch` quotes the whole signed request,
 * which with temporary credentials includes the session token.
 */
export class S3Failure extends Error {
  override readonly name = "S3Failure";

  constructor(
    /** S3's error code, or the system's ("ECONNREFUSED"), or the error's name. */
    readonly code: string,
    /** HTTP status; null if no answer came. */
    readonly status: number | null,
    /** S3's id of the request, which its support asks for. */
    readonly requestId: string | null,
    message: string,
  ) {
    super(message === "" ? code : `${code}: ${message}`);
  }
}

/**
 * Any error as the fault that the client is told, with an `S3Failure` as its cause if it came from the SDK.
 */
export function toStorageFault(error: unknown): StorageFault {
  if (error instanceof StorageFault) return error;
  if (error instanceof UploadError)
    return new StorageFault("permanent", error.code, { detail: error.detail, cause: error });
  const cause = toS3Failure(error);
  const [kind, code] = classify(cause);
  const retryAfterMs = retryAfterOf(error);
  return new StorageFault(kind, code, {
    cause,
    ...(cause.status !== null && { detail: `the storage answered ${cause.code}` }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
}

/**
 * Whether S3 knows no such multipart upload. Ceph says NoSuchKey to ListParts, as if it were the object that
 * is missing.
 */
export function isNoSuchUpload(error: unknown): boolean {
  const { code, status } = toS3Failure(error);
  return code === "NoSuchUpload" || (code === "NoSuchKey" && status === 404);
}

/** Whether HeadObject found nothing. Its answer has no body, so the status is all there is. */
export function isNotFound(error: unknown): boolean {
  return toS3Failure(error).status === 404;
}

/** Whether CompleteMultipartUpload was given parts that S3 does not hold like this. */
export function isPartsRefusal(error: unknown): boolean {
  return ["InvalidPart", "InvalidPartOrder", "EntityTooSmall"].includes(toS3Failure(error).code);
}

/** Whether an object is there already that was not to be replaced. */
export function isPreconditionRefusal(error: unknown): boolean {
  const { code, status } = toS3Failure(error);
  return code === "PreconditionFailed" || status === 412;
}

/**
 * Whether S3 did nothing, and might with other credentials. If the clock is wrong, no others would be better.
 */
export function isRefusal(error: unknown): boolean {
  const { code, status } = toS3Failure(error);
  if (code === "RequestTimeTooSkewed") return false;
  return status === 403 || ["ExpiredToken", "InvalidToken", "TokenRefreshRequired"].includes(code);
}

/**
 * Whether S3 may have carried the request out nevertheless: InternalError is Ceph's answer to
 * CompleteMultipartUpload after an abort, and everybody's to trouble of their own; or it is a success that
 * could not be read.
 */
export function isUnclear(error: unknown): boolean {
  const { code, status } = toS3Failure(error);
  return code === "InternalError" || status === 500 || (status !== null && status < 300);
}

const BUSY = new Set([
  "SlowDown",
  "Throttling",
  "ThrottlingException",
  "TooManyRequests",
  "TooManyRequestsException",
  "RequestTimeout",
  "RequestLimitExceeded",
  "OperationAborted",
  "ConditionalRequestConflict",
  // The next two are for a body that was damaged or cut short on its way.
  "BadDigest",
  "IncompleteBody",
]);

// The server's own credentials, clock or bucket are wrong. The upload is sound, and goes on when the operator
// has mended it.
const MISCONFIGURED = new Set([
  "ExpiredToken",
  "InvalidToken",
  "TokenRefreshRequired",
  "InvalidAccessKeyId",
  "SignatureDoesNotMatch",
  "RequestTimeTooSkewed",
  "NoSuchBucket",
]);

const HOPELESS: Readonly<Record<string, UploadErrorCode>> = {
  EntityTooLarge: "FILE_TOO_LARGE",
  KeyTooLongError: "KEY_INVALID",
  KeyTooLong: "KEY_INVALID",
};

function classify({ code, status }: S3Failure): readonly [FaultKind, UploadErrorCode] {
  if (status === null && !isOwnTrouble(code)) return ["network", "SERVER_ERROR"];
  if (BUSY.has(code) || MISCONFIGURED.has(code)) return ["transient", "SERVER_ERROR"];
  // A status below 400 is a redirect to another region (the operator's to mend), or a success that could not
  // be read.
  if (status === null || status < 400 || status >= 500 || status === 408 || status === 429)
    return ["transient", "SERVER_ERROR"];
  if (isNoSuchCode(code)) return ["gone", "UPLOAD_GONE"];
  return ["permanent", HOPELESS[code] ?? "FORBIDDEN"];
}

function isNoSuchCode(code: string): boolean {
  return code === "NoSuchUpload" || code === "NoSuchKey";
}

/** Whether no request was sent: there are no credentials, or the program has an error. */
function isOwnTrouble(code: string): boolean {
  return !/^(?!ERR_INVALID)E[A-Z\d_]+$|^UND_|Timeout|^AbortError$|^NetworkingError$/.test(code);
}

/** The shape that SDK and system errors share, as far as it is read here. */
interface LooseError {
  readonly name?: unknown;
  readonly code?: unknown;
  readonly message?: unknown;
  readonly stack?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: unknown; readonly requestId?: unknown };
  readonly $response?: {
    readonly headers?: Readonly<Record<string, unknown>>;
    readonly statusCode?: unknown;
  };
}

function toS3Failure(error: unknown): S3Failure {
  if (error instanceof S3Failure) return error;
  const loose: LooseError = typeof error === "object" && error !== null ? error : {};
  const status = numberOrNull(loose.$response?.statusCode) ?? numberOrNull(loose.$metadata?.httpStatusCode);
  // System errors are told apart by `code`; S3's codes are the SDK's `name`.
  const code = status === null ? (textOrNull(loose.code) ?? textOrNull(loose.name)) : textOrNull(loose.name);
  const message = textOrNull(loose.message) ?? "";
  // `Headers` quotes the value that it refuses, and that may be a session token.
  const isAboutHeader = status === null && /header/i.test(message);
  const failure = new S3Failure(
    code !== null && /^[\w.]{1,64}$/.test(code) ? code : "UnknownError",
    status,
    textOrNull(loose.$metadata?.requestId),
    isAboutHeader ? "a header can't be sent" : message,
  );
  const stack = textOrNull(loose.stack);
  if (stack !== null && !isAboutHeader) failure.stack = stack;
  return failure;
}

/** Milliseconds that S3 asked for by `Retry-After`, in seconds or as a date. */
function retryAfterOf(error: unknown): number | undefined {
  const loose: LooseError = typeof error === "object" && error !== null ? error : {};
  return parseRetryAfter(textOrNull(loose.$response?.headers?.["retry-after"]), Date.now());
}

function numberOrNull(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}
