import fc from "fast-check";
import { expect, test } from "vitest";
import { MIB, S3_LIMITS } from "../../src/core/limits.ts";
import { planParts } from "../../src/core/part-plan.ts";
import { partSizeFor } from "../../sw/model/part-size.ts";

const GIB = 1024 * MIB;

test.each([
  [0, 5],
  [100 * MIB, 5],
  [100 * MIB + 1, 10],
  [GIB, 10],
  [GIB + 1, 25],
  [10 * GIB, 25],
  [10 * GIB + 1, 50],
  // From here on by the number of parts: 10,000 × 50 MiB.
  [500_000 * MIB, 50],
  [500_000 * MIB + 1, 51],
  [S3_LIMITS.maxObjectBytes, 5 * 1024],
])("a file of %d bytes goes in parts of %d MiB", (size, mib) => {
  expect(partSizeFor(size, { strategy: "bySize" }, null)).toBe(mib * MIB);
});

const sizings = fc.oneof(
  fc.constant({ strategy: "bySize" } as const),
  fc.record({ strategy: fc.constant("fixed" as const), bytes: fc.integer({ min: 1, max: 10 * GIB }) }),
  fc.record({ strategy: fc.constant("adaptive" as const), seconds: fc.integer({ min: 1, max: 3_600 }) }),
);
const speeds = fc.option(fc.double({ min: 0, max: 1e12, noNaN: true }));

test("every size that is allowed gets a lawful plan, whatever the engine's limits", () => {
  const limits = fc
    .record({
      minPartBytes: fc.integer({ min: 1, max: 10 * MIB }),
      more: fc.nat({ max: 10 * GIB }),
      maxParts: fc.integer({ min: 1, max: 10_000 }),
    })
    .map(({ more, ...rest }) => ({ ...S3_LIMITS, ...rest, maxPartBytes: rest.minPartBytes + more }));
  const cases = limits.chain((l) =>
    fc.tuple(fc.constant(l), fc.nat({ max: Math.min(l.maxObjectBytes, l.maxParts * l.maxPartBytes) })),
  );
  fc.assert(
    fc.property(cases, sizings, speeds, ([l, size], sizing, speed) => {
      expect(planParts(size, partSizeFor(size, sizing, speed, l), l).partCount).toBeLessThanOrEqual(
        l.maxParts,
      );
    }),
  );
});

test("a part size is whole MiB with S3's limits", () => {
  fc.assert(
    fc.property(fc.nat({ max: S3_LIMITS.maxObjectBytes }), (size) => {
      expect(partSizeFor(size, { strategy: "bySize" }, null) % MIB).toBe(0);
    }),
  );
});

test("fixed: what the app says, as far as the storage takes it", () => {
  const fixed = (bytes: number, size: number) => partSizeFor(size, { strategy: "fixed", bytes }, null);
  expect(fixed(8 * MIB, GIB)).toBe(8 * MIB);
  expect(fixed(MIB, GIB)).toBe(5 * MIB);
  expect(fixed(8 * MIB, 100_000 * MIB)).toBe(10 * MIB);
});

test("adaptive: what a part sends in 10 s, in whole MiB from 5 to 64; by size until a speed is known", () => {
  const adaptive = (speed: number | null) => partSizeFor(GIB, { strategy: "adaptive" }, speed);
  expect([null, 0, 100_000, 1.26 * MIB, 3 * MIB, 1e9].map(adaptive).map((size) => size / MIB)).toEqual([
    10, 5, 5, 13, 30, 64,
  ]);
  expect(partSizeFor(GIB, { strategy: "adaptive", seconds: 20 }, MIB)).toBe(20 * MIB);
});

test("a file that is too large is refused", () => {
  expect(() => partSizeFor(S3_LIMITS.maxObjectBytes + 1, { strategy: "bySize" }, null)).toThrow(
    expect.objectContaining({ code: "FILE_TOO_LARGE" }),
  );
});
