import { describe, expect, test } from "vitest";
import { classifyPut, classifyStatus, parseRetryAfter } from "../../src/core/outcome.ts";

describe("S3's answer to a PUT", () => {
  test.each([
    // status, S3's code, what it means, the error's code
    [200, undefined, "stored", undefined],
    [204, undefined, "stored", undefined],
    [401, undefined, "signature", undefined],
    [403, undefined, "signature", undefined],
    [403, "RequestTimeTooSkewed", "signature", undefined],
    [403, "SignatureDoesNotMatch", "signature", undefined],
    [400, "ExpiredToken", "signature", undefined],
    [404, "NoSuchUpload", "gone", "UPLOAD_GONE"],
    [400, "BadDigest", "transient", "BAD_DIGEST"],
    [400, "XAmzContentChecksumMismatch", "transient", "BAD_DIGEST"],
    [404, "NoSuchKey", "gone", "UPLOAD_GONE"],
    [404, "NoSuchBucket", "permanent", "FORBIDDEN"],
    [400, "IncompleteBody", "transient", "SERVER_ERROR"],
    [400, "RequestTimeout", "transient", "SERVER_ERROR"],
    [408, undefined, "transient", "SERVER_ERROR"],
    [425, undefined, "transient", "SERVER_ERROR"],
    [429, undefined, "transient", "SLOW_DOWN"],
    [500, "InternalError", "transient", "SERVER_ERROR"],
    [503, "SlowDown", "transient", "SLOW_DOWN"],
    [599, undefined, "transient", "SERVER_ERROR"],
    [304, undefined, "permanent", "FORBIDDEN"],
    [400, "EntityTooLarge", "permanent", "FILE_TOO_LARGE"],
    [400, "InvalidArgument", "permanent", "FORBIDDEN"],
    [404, "NoSuchBucket", "permanent", "FORBIDDEN"],
    [405, undefined, "permanent", "FORBIDDEN"],
    [411, "MissingContentLength", "permanent", "FORBIDDEN"],
  ])("%d %s: %s", (status, s3Code, kind, code) => {
    const outcome = classifyPut({ status, s3Code });
    expect(outcome.kind).toBe(kind);
    expect("code" in outcome ? outcome.code : undefined).toBe(code);
  });

  test("a fault names status and code, and passes on what the server asked for", () => {
    expect(classifyPut({ status: 503, s3Code: "SlowDown", retryAfterMs: 7_000 })).toMatchObject({
      name: "StorageFault",
      detail: "503 SlowDown",
      retryAfterMs: 7_000,
    });
    expect(classifyPut({ status: 500 })).toMatchObject({ detail: "500", retryAfterMs: undefined });
  });
});

test.each([
  [401, "unauthorized", "UNAUTHORIZED"],
  [403, "permanent", "FORBIDDEN"],
  [408, "transient", "SERVER_ERROR"],
  [429, "transient", "SLOW_DOWN"],
  [500, "transient", "SERVER_ERROR"],
  [503, "transient", "SLOW_DOWN"],
  // A captive portal, or a wrong endpoint.
  [200, "transient", "SERVER_RESPONSE_INVALID"],
  [302, "transient", "SERVER_RESPONSE_INVALID"],
  [404, "transient", "SERVER_RESPONSE_INVALID"],
])("the app's server by its status alone: %d is %s, %s", (status, kind, code) => {
  expect(classifyStatus({ status })).toMatchObject({ kind, code, detail: String(status) });
});

test("the app's server may ask for patience", () => {
  expect(classifyStatus({ status: 429, retryAfterMs: 5 }).retryAfterMs).toBe(5);
});

describe("Retry-After", () => {
  const now = Date.UTC(2024, 0, 1, 12);

  test.each([
    ["0", 0],
    ["120", 120_000],
    [" 5 ", 5_000],
    ["3600", 3_600_000],
    ["3601", 3_600_000],
    ["9".repeat(30), 3_600_000],
    ["Mon, 01 Jan 2024 12:00:30 GMT", 30_000],
    ["Mon, 01 Jan 2024 11:00:00 GMT", 0],
    ["Tue, 02 Jan 2024 12:00:00 GMT", 3_600_000],
  ])("%j is %d ms", (header, ms) => {
    expect(parseRetryAfter(header, now)).toBe(ms);
  });

  test.each([[null], [""], ["soon"], ["NaN"], ["Infinity"], ["-5"], ["1.5"], ["foo 1"], ["5, 10"]])(
    "%j is nothing",
    (header) => {
      expect(parseRetryAfter(header, now)).toBeUndefined();
    },
  );
});
