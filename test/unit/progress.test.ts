import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { estimateBytes, etaSeconds, sampleProgress, startProgress } from "../../sw/model/progress.ts";

const start = startProgress(0, 0);

describe("speed", () => {
  test("is unknown until bytes were confirmed over a quarter of a second", () => {
    expect(start.bytesPerSecond).toBeNull();
    expect(sampleProgress(start, 100, 249)).toBe(start);
    expect(sampleProgress(start, 0, 5_000)).toBe(start);
    expect(sampleProgress(start, 100, 250).bytesPerSecond).toBe(400);
  });

  test("counts from the bytes it started with", () => {
    expect(sampleProgress(startProgress(1_000, 0), 2_000, 1_000).bytesPerSecond).toBe(1_000);
  });

  test("loses no bytes to samples that were too short", () => {
    const short = sampleProgress(start, 100, 100);
    expect(sampleProgress(short, 200, 1_000).bytesPerSecond).toBe(200);
  });

  test("is smoothed: a long sample moves it more than a short one, and none overshoots", () => {
    const before = sampleProgress(start, 1_000, 1_000);
    const short = sampleProgress(before, 1_000 + 5_000, 2_000).bytesPerSecond ?? 0;
    const long = sampleProgress(before, 1_000 + 50_000, 11_000).bytesPerSecond ?? 0;
    expect(short).toBeGreaterThan(1_000);
    expect(long).toBeGreaterThan(short);
    expect(long).toBeLessThan(5_000);
  });

  test("settles on a steady rate", () => {
    let progress = sampleProgress(start, 1, 1_000);
    for (let s = 2; s <= 60; s++) progress = sampleProgress(progress, s * 1_000, s * 1_000);
    expect(progress.bytesPerSecond).toBeCloseTo(1_000, 0);
  });

  test("is never negative, though S3 may take back what it confirmed", () => {
    expect(sampleProgress(startProgress(1_000, 0), 0, 1_000).bytesPerSecond).toBe(0);
  });
});

describe("the estimate", () => {
  const moving = { bytesPerSecond: 1_000, sampledBytes: 5_000, sampledAt: 0 };

  test("adds what the speed makes likely since the last sample", () => {
    expect(estimateBytes(moving, 5_000, 10_000, 2_000)).toBe(7_000);
  });

  test("does not count twice what was confirmed since", () => {
    expect(estimateBytes(moving, 6_500, 10_000, 2_000)).toBe(7_000);
    expect(estimateBytes(moving, 9_000, 10_000, 2_000)).toBe(9_000);
  });

  test("adds nothing while the speed is unknown", () => {
    expect(estimateBytes(start, 0, 10_000, 60_000)).toBe(0);
  });

  test("lies between what is confirmed and the end of the running parts, in whole bytes, whatever the clock does", () => {
    const bytes = fc.nat({ max: 2 ** 40 });
    const time = fc.nat({ max: 2 ** 42 });
    const speed = fc.option(fc.double({ min: 0, max: 1e10, noNaN: true }));
    fc.assert(
      fc.property(
        speed,
        bytes,
        time,
        bytes,
        bytes,
        time,
        (bytesPerSecond, sampledBytes, sampledAt, done, flying, now) => {
          const estimate = estimateBytes({ bytesPerSecond, sampledBytes, sampledAt }, done, flying, now);
          expect(estimate).toBeGreaterThanOrEqual(done);
          expect(estimate).toBeLessThanOrEqual(done + flying);
          expect(Number.isInteger(estimate)).toBe(true);
        },
      ),
    );
  });
});

describe("the time left", () => {
  const at = (bytesPerSecond: number | null) => ({ bytesPerSecond, sampledBytes: 0, sampledAt: 0 });

  test("is what is missing by the speed, rounded up", () => {
    expect(etaSeconds(at(1_000), 5_500, 10_000)).toBe(5);
    expect(etaSeconds(at(1_000), 10_000, 10_000)).toBe(0);
  });

  test.each([null, 0])("is unknown at a speed of %s", (speed) => {
    expect(etaSeconds(at(speed), 0, 10_000)).toBeNull();
  });
});
