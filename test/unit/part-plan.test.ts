import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MIB, S3_LIMITS } from "../../src/core/limits.ts";
import { checkSize, partByteRange, partBytes, planParts } from "../../src/core/part-plan.ts";

const FIVE = 5 * MIB;

describe("a plan", () => {
  test.each([
    [0, 1, 0],
    [1, 1, 1],
    [FIVE - 1, 1, FIVE - 1],
    [FIVE, 1, FIVE],
    [FIVE + 1, 2, 1],
    [7 * FIVE - 1, 7, FIVE - 1],
    [7 * FIVE, 7, FIVE],
    [7 * FIVE + 1, 8, 1],
    [10_000 * FIVE, 10_000, FIVE],
  ])("of %d bytes in parts of 5 MiB has %d, the last of %d bytes", (size, partCount, lastBytes) => {
    const plan = planParts(size, FIVE);
    expect(plan).toEqual({ size, partSize: FIVE, partCount });
    expect(partBytes(plan, partCount)).toBe(lastBytes);
  });

  test("covers every byte exactly once, in order", () => {
    const limits = { ...S3_LIMITS, minPartBytes: 1 };
    fc.assert(
      fc.property(fc.nat({ max: 5_000 }), fc.integer({ min: 1, max: 5_000 }), (size, partSize) => {
        const plan = planParts(size, partSize, limits);
        let at = 0;
        for (let n = 1; n <= plan.partCount; n++) {
          const { start, end } = partByteRange(plan, n);
          expect(start).toBe(at);
          expect(end - start).toBe(partBytes(plan, n));
          // All alike but the last, and no empty one but an empty file's.
          if (n < plan.partCount) expect(end - start).toBe(partSize);
          else if (size > 0) expect(end).toBeGreaterThan(start);
          at = end;
        }
        expect(at).toBe(size);
      }),
    );
  });
});

describe("what is refused", () => {
  test.each([
    ["a part too small", FIVE, FIVE - 1],
    ["a part too large", FIVE, 5 * 1024 * MIB + 1],
    ["a part of a broken byte", FIVE, FIVE + 0.5],
    ["a part of no size", FIVE, Number.NaN],
    ["10,001 parts", 10_000 * FIVE + 1, FIVE],
  ])("%s", (_what, size, partSize) => {
    expect(() => planParts(size, partSize)).toThrow(expect.objectContaining({ code: "PART_SIZE_INVALID" }));
  });

  test("a file beyond 10,000 parts of 5 GiB, to the byte", () => {
    const largest = 10_000 * 5 * 1024 * MIB;
    expect(planParts(largest, 5 * 1024 * MIB).partCount).toBe(10_000);
    expect(() => checkSize(largest + 1)).toThrow(expect.objectContaining({ code: "FILE_TOO_LARGE" }));
  });

  test("a file beyond this engine's limits", () => {
    const limits = { ...S3_LIMITS, maxObjectBytes: 100 };
    expect(() => checkSize(100, limits)).not.toThrow();
    expect(() => checkSize(101, limits)).toThrow(expect.objectContaining({ code: "FILE_TOO_LARGE" }));
  });

  test.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])("%d, which is no size", (size) => {
    expect(() => checkSize(size)).toThrow(expect.objectContaining({ code: "FILE_INVALID" }));
  });
});

test("the bounds of the part size are allowed themselves", () => {
  expect(planParts(1, S3_LIMITS.minPartBytes).partCount).toBe(1);
  expect(planParts(1, S3_LIMITS.maxPartBytes).partCount).toBe(1);
});
