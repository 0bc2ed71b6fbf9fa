import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RETRY_POLICY } from "../../src/core/options.ts";
import { type FaultKind, StorageFault } from "../../src/core/storage.ts";
import { isWorthRetrying, putTimeoutMs, retryDelayMs } from "../../sw/model/retry.ts";

const ALMOST_1 = 1 - 2 ** -53;

describe("the wait before a retry", () => {
  test.each([
    [1, 1_000],
    [2, 2_000],
    [3, 4_000],
    [6, 32_000],
    [7, 60_000],
    [8, 60_000],
    [5_000, 60_000],
  ])("after %d faults is drawn from 250 to %d ms", (attempts, longest) => {
    expect(retryDelayMs(attempts, 0)).toBe(250);
    expect(retryDelayMs(attempts, 0.5)).toBe(250 + (longest - 250) / 2);
    expect(retryDelayMs(attempts, ALMOST_1)).toBe(longest);
  });

  test("lies in its bounds and grows with the dice", () => {
    const dice = fc.double({ min: 0, max: ALMOST_1, noNaN: true });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), dice, dice, (attempts, a, b) => {
        const [low, high] = [retryDelayMs(attempts, Math.min(a, b)), retryDelayMs(attempts, Math.max(a, b))];
        expect(low).toBeGreaterThanOrEqual(250);
        expect(low).toBeLessThanOrEqual(high);
        expect(high).toBeLessThanOrEqual(60_000);
      }),
    );
  });

  test("is what the server asks for, if it asks", () => {
    expect(retryDelayMs(1, 0.9, 120_000)).toBe(120_000);
    expect(retryDelayMs(20, 0.9, 10)).toBe(10);
  });

  test("follows another policy", () => {
    const policy = { baseMs: 100, maxMs: 150, maxServerAttempts: 2 };
    expect(retryDelayMs(1, ALMOST_1, undefined, policy)).toBe(100);
    expect(retryDelayMs(2, ALMOST_1, undefined, policy)).toBe(150);
  });
});

describe("a retry is worth it", () => {
  const fault = (kind: FaultKind) => new StorageFault(kind, "SERVER_ERROR");

  test("for the network always", () => {
    expect(isWorthRetrying(fault("network"), 1_000_000)).toBe(true);
  });

  test("for a busy server until the 8th fault in a row", () => {
    expect(RETRY_POLICY.maxServerAttempts).toBe(8);
    expect(isWorthRetrying(fault("transient"), 7)).toBe(true);
    expect(isWorthRetrying(fault("transient"), 8)).toBe(false);
  });

  test("for one's turn always", () => {
    expect(isWorthRetrying(new StorageFault("transient", "RATE_LIMITED"), 1_000_000)).toBe(true);
  });

  test.each(["unauthorized", "gone", "partsMismatch", "permanent"] as const)("never for %s", (kind) => {
    expect(isWorthRetrying(fault(kind), 1)).toBe(false);
  });
});

describe("time for a PUT", () => {
  const KIB = 1024;

  test("as long as 16 KiB/s need, and time to stall on top", () => {
    expect(putTimeoutMs(0, 60_000, null)).toBe(60_000);
    expect(putTimeoutMs(16 * KIB, 60_000, null)).toBe(61_000);
    expect(putTimeoutMs(16 * KIB * 300, 5_000, null)).toBe(305_000);
  });

  test("ten times what the last part took, where that is less", () => {
    expect(putTimeoutMs(1_000 * KIB, 60_000, 1_000 * KIB)).toBe(70_000);
    expect(putTimeoutMs(16 * KIB * 300, 60_000, 1)).toBe(360_000);
  });
});
