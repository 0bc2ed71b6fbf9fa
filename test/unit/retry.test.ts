import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isPassing, putTimeoutMs, retryDelayMs } from "../../sw/model/retry.ts";

const ALMOST_1 = 1 - 2 ** -53;

describe("the wait before a retry", () => {
  test.each([
    [1, 1_000],
    [2, 2_000],
    [3, 4_000],
    [6, 32_000],
    [10, 512_000],
    [12, 1_800_000],
    [5_000, 1_800_000],
  ])("after %d faults is drawn from the upper half of %d ms", (attempts, longest) => {
    expect(retryDelayMs(attempts, 0)).toBe(longest / 2);
    expect(retryDelayMs(attempts, 0.5)).toBe(longest * 0.75);
    expect(retryDelayMs(attempts, ALMOST_1)).toBe(longest);
  });

  test("lies in its bounds and grows with the dice", () => {
    const dice = fc.double({ min: 0, max: ALMOST_1, noNaN: true });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), dice, dice, (attempts, a, b) => {
        const [low, high] = [retryDelayMs(attempts, Math.min(a, b)), retryDelayMs(attempts, Math.max(a, b))];
        expect(low).toBeGreaterThanOrEqual(500);
        expect(low).toBeLessThanOrEqual(high);
        expect(high).toBeLessThanOrEqual(1_800_000);
      }),
    );
  });

  test("is at most five minutes where nobody could be reached: no event may tell that the link works again", () => {
    expect(retryDelayMs(20, ALMOST_1, { kind: "network" })).toBe(300_000);
    expect(retryDelayMs(3, ALMOST_1, { kind: "network" })).toBe(4_000);
  });

  test("is never shorter than what the server asks for, and at most a tenth longer", () => {
    expect(retryDelayMs(1, 0, { retryAfterMs: 120_000 })).toBe(120_000);
    expect(retryDelayMs(20, ALMOST_1, { retryAfterMs: 120_000 })).toBe(132_000);
  });

  test("follows another policy", () => {
    const policy = { baseMs: 100, maxMs: 150 };
    expect(retryDelayMs(1, ALMOST_1, {}, policy)).toBe(100);
    expect(retryDelayMs(2, ALMOST_1, {}, policy)).toBe(150);
  });
});

test.each([
  ["network", true],
  ["transient", true],
  ["unauthorized", false],
  ["gone", false],
  ["partsMismatch", false],
  ["permanent", false],
] as const)("a fault of the kind %s passes by itself: %s", (kind, passes) => {
  expect(isPassing({ kind })).toBe(passes);
});

describe("time for a PUT", () => {
  const KIB = 1024;

  test("is as long as 16 KiB/s need, and the stall timeout on top", () => {
    expect(putTimeoutMs(0, 60_000, null)).toBe(60_000);
    expect(putTimeoutMs(16 * KIB, 60_000, null)).toBe(61_000);
    expect(putTimeoutMs(16 * KIB * 300, 5_000, null)).toBe(305_000);
  });

  test.each([null, 0])("is a number for an empty part at a speed of %s", (speed) => {
    expect(putTimeoutMs(0, 60_000, speed)).toBe(60_000);
  });

  test("ten times what the last part took, where that is less", () => {
    expect(putTimeoutMs(1_000 * KIB, 60_000, 1_000 * KIB)).toBe(70_000);
    expect(putTimeoutMs(16 * KIB * 300, 60_000, 1)).toBe(360_000);
  });
});
