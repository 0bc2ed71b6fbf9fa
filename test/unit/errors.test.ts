import { describe, expect, test, vi } from "vitest";
import { explained, messageOf } from "../../src/core/error-messages.ts";
import {
  isUploadError,
  looksLikeErrorCode,
  toWire,
  UploadError,
  type UploadErrorCode,
} from "../../src/core/errors.ts";

test("an error has its code, the detail, and the cause", () => {
  const cause = new Error("why");
  const error = new UploadError("KEY_INVALID", "it is empty", { cause });
  expect(error).toBeInstanceOf(Error);
  expect(error).toMatchObject({ name: "UploadError", code: "KEY_INVALID", detail: "it is empty", cause });
  expect(error.message).toBe("KEY_INVALID: it is empty");
  expect(new UploadError("CANCELED").message).toBe("CANCELED");
});

test("the wire form survives JSON and structured clone, and becomes what people see", () => {
  const error = new UploadError("KEY_INVALID", "it is empty");
  for (const wire of [JSON.parse(JSON.stringify(toWire(error))), structuredClone(toWire(error))]) {
    const copy = explained(wire);
    expect(copy).toMatchObject({ name: "UploadError", code: "KEY_INVALID", detail: "it is empty" });
    expect(copy.message).toMatch(/^The object key is invalid\. .*\(it is empty\)$/);
    expect(isUploadError(copy)).toBe(true);
  }
  expect(messageOf({ code: "CANCELED", detail: "" })).toBe("The upload was canceled.");
});

test("a code of a newer version still has a sentence", () => {
  expect(messageOf({ code: "FROM_THE_FUTURE" as UploadErrorCode, detail: "x" })).toMatch(
    /unexpected.*\(x\)$/,
  );
  expect(messageOf({ code: "toString" as UploadErrorCode, detail: "" })).toMatch(/unexpected/);
});

describe("the guard", () => {
  test("knows the error of another copy of the module", async () => {
    vi.resetModules();
    const other = await import("../../src/core/errors.ts");
    const error = new other.UploadError("NETWORK");
    expect(error).not.toBeInstanceOf(UploadError);
    expect(isUploadError(error)).toBe(true);
  });

  test.each([
    [new Error("UploadError")],
    [{ name: "UploadError", code: "NETWORK", message: "" }],
    ["UploadError"],
    [null],
    [undefined],
  ])("refuses %j", (value) => {
    expect(isUploadError(value)).toBe(false);
  });
});

test("codes are known by their look", () => {
  expect(looksLikeErrorCode("NETWORK" satisfies UploadErrorCode)).toBe(true);
  for (const value of ["network", "", "toString", "A".repeat(41), 1, null, undefined])
    expect(looksLikeErrorCode(value)).toBe(false);
});
