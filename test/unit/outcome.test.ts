import { describe, expect, test } from "vitest";
import { classifyPut, classifyStatus, parseRetryAfter } from "../../src/core/outcome.ts";

describe("S3's answer to a PUT", () => {
  test.each([
    // status, S3's code, what it means, the fault's kind and code
    [200, undefined, "stored"],
    [204, undefined, "stored"],
    [401, "InvalidAccessKeyId", "signature"],
    [403, "AccessDenied", "signature"],
    [403, "RequestTimeTooSkewed", "signature"],
    [403, "SignatureDoesNotMatch", "signature"],
    [400, "ExpiredToken", "signature"],
    [429, undefined, "notStored", "transient", "SLOW_DOWN"],
    [503, undefined, "notStored", "transient", "SLOW_DOWN"],
    [503, "SlowDown", "notStored", "transient", "SLOW_DOWN"],
    [400, "BadDigest", "fault", "transient", "BAD_DIGEST"],
    [400, "XAmzContentChecksumMismatch", "fault", "transient", "BAD_DIGEST"],
    [400, "IncompleteBody", "fault", "transient", "SERVER_ERROR"],
    [400, "RequestTimeout", "fault", "transient", "SERVER_ERROR"],
    [408, undefined, "fault", "transient", "SERVER_ERROR"],
    [425, undefined, "fault", "transient", "SERVER_ERROR"],
    [500, "InternalError", "fault", "transient", "SERVER_ERROR"],
    [599, undefined, "fault", "transient", "SERVER_ERROR"],
    // Whether the upload is gone, the list of its parts tells.
    [404, "NoSuchUpload", "fault", "transient", "UPLOAD_GONE"],
    [404, "NoSuchKey", "fault", "transient", "UPLOAD_GONE"],
    [412, "PreconditionFailed", "fault", "transient", "OBJECT_EXISTS"],
    // A code that nobody has heard of is no reason to give up.
    [411, "MissingContentLength", "fault", "transient", "STORAGE_RESPONSE_INVALID"],
    [404, "NoSuchBucket", "fault", "permanent", "FORBIDDEN"],
    [400, "EntityTooLarge", "fault", "permanent", "FILE_TOO_LARGE"],
    [400, "InvalidArgument", "fault", "permanent", "FORBIDDEN"],
  ])("%d %s: %s", (status, s3Code, what, kind?: string, code?: string) => {
    const outcome = classifyPut({ status, s3Code });
    expect(outcome.kind).toBe(what);
    const fault = "fault" in outcome ? outcome.fault : undefined;
    expect([fault?.kind, fault?.code]).toEqual([kind, code]);
  });

  test.each([301, 302, 304, 400, 401, 403, 404, 405, 410, 412, 413])(
    "%d without S3's own code may be anybody's, and is never final",
    (status) => {
      expect(classifyPut({ status })).toMatchObject({
        kind: "fault",
        fault: { kind: "transient", code: "STORAGE_RESPONSE_INVALID", detail: String(status) },
      });
    },
  );

  test("names status and code in a fault, and passes on what the server asked for", () => {
    expect(classifyPut({ status: 503, s3Code: "SlowDown", retryAfterMs: 7_000 })).toMatchObject({
      fault: { name: "StorageFault", detail: "503 SlowDown", retryAfterMs: 7_000 },
    });
    expect(classifyPut({ status: 500 })).toMatchObject({ fault: { detail: "500", retryAfterMs: undefined } });
  });
});

test.each([
  [401, "unauthorized", "UNAUTHORIZED"],
  [408, "transient", "SERVER_ERROR"],
  [413, "transient", "REQUEST_TOO_LARGE"],
  [429, "transient", "SLOW_DOWN"],
  [500, "transient", "SERVER_ERROR"],
  [503, "transient", "SLOW_DOWN"],
  // A captive portal, a firewall, or a wrong endpoint.
  [200, "transient", "SERVER_RESPONSE_INVALID"],
  [403, "transient", "SERVER_RESPONSE_INVALID"],
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
