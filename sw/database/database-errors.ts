import { UploadError } from "../../src/core/errors.ts";

/**
 * Translates an error of IndexedDB into one for the user. Errors other than `DOMException`s are faults of
 * this library and stay as they are.
 */
export function databaseError(error: unknown): unknown {
  if (!(error instanceof DOMException)) return error;
  switch (error.name) {
    case "QuotaExceededError":
      return new UploadError("QUOTA_EXCEEDED", undefined, { cause: error });
    case "InvalidStateError":
    // A transaction that nobody here has aborted: the browser does so when it closes the connection.
    case "AbortError":
      return new UploadError("DATABASE_CLOSED", undefined, { cause: error });
    default:
      return new UploadError("DATABASE_UNAVAILABLE", String(error), { cause: error });
  }
}

/**
 * Translates an error of storing a file's bytes, where that means something else than an error of storing a
 * record.
 */
export function copyError(error: unknown): unknown {
  if (!(error instanceof DOMException)) return error;
  switch (error.name) {
    // The file on disk was changed or deleted while it was being copied.
    case "NotReadableError":
    case "NotFoundError":
    case "DataError":
      return new UploadError("FILE_CHANGED", undefined, { cause: error });
    // WebKit stores no Blobs in private windows: "Error preparing Blob/File data to be stored in object store", or
    // "BlobURLs are not yet supported".
    case "UnknownError":
    case "DataCloneError":
      return /blob/i.test(error.message)
        ? new UploadError("QUOTA_EXCEEDED", "no Blobs can be stored here", {
            cause: error,
          })
        : error;
    default:
      return error;
  }
}

export function isDomException(value: unknown, name: string): boolean {
  return value instanceof DOMException && value.name === name;
}
