import { describe, expect, test } from "vitest";
import { ENGINE_DEFAULTS } from "../../src/core/options.ts";
import { md5, noChecksum } from "../../sw/parts/checksums.ts";
import { checkOptions, type GivenOptions } from "../../sw/worker-options.ts";

test("an app that gives no options gets the defaults, MD5 and no trace", () => {
  const { trace, ...options } = checkOptions({});
  expect(options).toEqual({ ...ENGINE_DEFAULTS, checksum: md5 });
  expect(trace({} as never)).toBeUndefined();
});

test("options that are given replace their defaults only", () => {
  const trace = () => {};
  const options = checkOptions({ parallelParts: 10, retry: { maxMs: 5_000 }, checksum: noChecksum, trace });
  expect(options).toMatchObject({
    parallelParts: 10,
    parallelPartsPerUpload: 6,
    checksum: noChecksum,
    trace,
  });
  expect(options.retry).toEqual({ ...ENGINE_DEFAULTS.retry, maxMs: 5_000 });
});

test.each<GivenOptions>([
  { parallelParts: 1 },
  { parallelParts: 64, parallelPartsPerUpload: 64 },
  { multipartThresholdBytes: 0 },
  { multipartThresholdBytes: Number.MAX_SAFE_INTEGER },
  { partSize: { strategy: "fixed", bytes: 5_242_880 } },
  { partSize: { strategy: "bySize" } },
  { partSize: { strategy: "adaptive" } },
  { partSize: { strategy: "adaptive", seconds: 1 } },
  { retry: { baseMs: 1 } },
  { keepEnded: { days: 0.5 } },
  { keepEnded: { days: 0, count: 0 } },
  { stallTimeoutMs: 24 * 3_600_000 },
])("%j is allowed", (given) => {
  expect(checkOptions(given)).toMatchObject(given);
});

describe("an invalid value is refused, with the option's name", () => {
  test.each([
    [{ parallelParts: 0 }, "parallelParts"],
    [{ parallelParts: 65 }, "parallelParts"],
    [{ parallelParts: 2.5 }, "parallelParts"],
    [{ parallelParts: Number.NaN }, "parallelParts"],
    [{ parallelParts: "6" }, "parallelParts"],
    [{ parallelParts: null }, "parallelParts"],
    [{ parallelPartsPerUpload: 0 }, "parallelPartsPerUpload"],
    [{ multipartThresholdBytes: -1 }, "multipartThresholdBytes"],
    [{ multipartThresholdBytes: Number.POSITIVE_INFINITY }, "multipartThresholdBytes"],
    [{ partSize: 5_242_880 }, "partSize"],
    [{ partSize: { strategy: "random" } }, "partSize.strategy"],
    [{ partSize: { strategy: "fixed" } }, "partSize.bytes"],
    [{ partSize: { strategy: "fixed", bytes: 0 } }, "partSize.bytes"],
    [{ partSize: { strategy: "adaptive", seconds: 0 } }, "partSize.seconds"],
    [{ partSize: { strategy: "adaptive", seconds: 3_601 } }, "partSize.seconds"],
    [{ retry: { baseMs: 0 } }, "retry.baseMs"],
    [{ retry: { maxMs: 24 * 3_600_000 + 1 } }, "retry.maxMs"],
    [{ stallTimeoutMs: 0 }, "stallTimeoutMs"],
    [{ checksum: "md5" }, "checksum"],
    [{ checksum: null }, "checksum"],
    [{ checksum: { kind: "sha1", digest: null } }, "checksum.kind"],
    [{ checksum: { kind: "md5" } }, "checksum.digest"],
    [{ trace: "console" }, "trace"],
    [{ keepEnded: { days: -1 } }, "keepEnded.days"],
    [{ keepEnded: { days: Number.POSITIVE_INFINITY } }, "keepEnded.days"],
    [{ keepEnded: { count: 1.5 } }, "keepEnded.count"],
    [{ keepEnded: { count: 100_001 } }, "keepEnded.count"],
    [{ trace: null }, "trace"],
    [{ stallTimeoutMs: 24 * 3_600_000 + 1 }, "stallTimeoutMs"],
  ])("%j", (given, name) => {
    expect(() => checkOptions(given as never)).toThrow(
      expect.objectContaining({ code: "OPTION_INVALID", detail: expect.stringMatching(`^${name}: `) }),
    );
  });
});
