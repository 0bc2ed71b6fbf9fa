import { expect, test } from "vitest";
import { UploadError } from "../../src/core/errors.ts";
import { copyError, databaseError } from "../../sw/database/database-errors.ts";

const cases = [
  ["QuotaExceededError", "QUOTA_EXCEEDED"],
  ["InvalidStateError", "DATABASE_CLOSED"],
  ["AbortError", "DATABASE_CLOSED"],
  ["UnknownError", "DATABASE_UNAVAILABLE"],
  ["NotFoundError", "DATABASE_UNAVAILABLE"],
  ["NotReadableError", "DATABASE_UNAVAILABLE"],
] as const;

test.each(cases)("a database's %s is told as %s", (name, code) => {
  const cause = new DOMException("Internal error", name);
  expect(databaseError(cause)).toMatchObject({ name: "UploadError", code, cause });
});

test("the browser's message about a failing disk is in the detail", () => {
  const error = databaseError(new DOMException("Internal error committing transaction.", "UnknownError"));
  expect(error).toMatchObject({ detail: "UnknownError: Internal error committing transaction." });
});

test("errors that are not the browser's stay as they are", () => {
  for (const error of [new TypeError("a fault of ours"), new UploadError("CANCELED"), "text"]) {
    expect(databaseError(error)).toBe(error);
    expect(copyError(error)).toBe(error);
  }
});

test.each(["NotReadableError", "NotFoundError", "DataError"])(
  "a %s while a file is copied means that the file has changed",
  (name) => {
    expect(copyError(new DOMException("", name))).toMatchObject({ code: "FILE_CHANGED" });
  },
);

test.each([
  ["UnknownError", "Error preparing Blob/File data to be stored in object store"],
  ["DataCloneError", "BlobURLs are not yet supported"],
])("WebKit's %s in a private window means that no copy can be kept", (name, message) => {
  expect(copyError(new DOMException(message, name))).toMatchObject({
    code: "QUOTA_EXCEEDED",
    detail: "no Blobs can be stored here",
  });
});

test("other failures of a copy are those of any write", () => {
  for (const name of ["UnknownError", "QuotaExceededError", "AbortError"]) {
    const error = new DOMException("Internal error", name);
    expect(copyError(error)).toBe(error);
  }
});
