import { beforeEach, describe, expect, test } from "vitest";
import { Breaker } from "../../sw/model/breaker.ts";

const RANDOM = 0;
let breaker: Breaker;
beforeEach(() => {
  breaker = new Breaker({ baseMs: 1_000, maxMs: 8_000 });
});

describe("a breaker", () => {
  test("lets everything through as long as nothing fails", () => {
    breaker.enter(5);
    expect([breaker.isOpen, breaker.isPassable(5), breaker.waitMs(5)]).toEqual([false, true, 0]);
    expect(breaker.succeeded()).toBe(false);
  });

  test("opens with the first fault, and lets one request through once the wait is over", () => {
    breaker.failed(100, 0, RANDOM);
    expect(breaker.isOpen).toBe(true);
    expect([breaker.waitMs(100), breaker.isPassable(599), breaker.isPassable(600)]).toEqual([
      500,
      false,
      true,
    ]);
    // Asking is not entering.
    expect(breaker.isPassable(600)).toBe(true);
    breaker.enter(600);
    expect(breaker.isPassable(600)).toBe(false);
    expect(breaker.waitMs(600)).toBeGreaterThan(0);
  });

  test("closes once a request succeeds, and says so once", () => {
    breaker.failed(0, 0, RANDOM);
    breaker.enter(500);
    expect(breaker.succeeded()).toBe(true);
    expect([breaker.isOpen, breaker.waitMs(500), breaker.succeeded()]).toEqual([false, 0, false]);
  });

  test("lets the next one through where the one before has said nothing about the origin", () => {
    breaker.failed(0, 0, RANDOM);
    breaker.enter(500);
    breaker.leave(500);
    expect([breaker.isOpen, breaker.isPassable(500)]).toEqual([true, true]);
  });

  test("keeps the probe's place when a request from before the probe is over", () => {
    breaker.failed(0, 0, RANDOM);
    breaker.enter(500);
    breaker.leave(400);
    expect(breaker.isPassable(600)).toBe(false);
  });

  test("counts twelve requests that went out and failed together as one round", () => {
    for (let request = 0; request < 12; request++) breaker.failed(100, 100, RANDOM);
    expect(breaker.waitMs(100)).toBe(500);
  });

  test("counts a probe that fails in the moment in which it was asked for", () => {
    breaker.probeNow(100);
    breaker.enter(100);
    breaker.failed(100, 100, RANDOM);
    expect(breaker.waitMs(100)).toBe(500);
  });

  test("waits twice as long after each failed round, up to the most, and forgets that with a success", () => {
    const waits: number[] = [];
    let now = 0;
    for (let round = 0; round < 6; round++) {
      breaker.failed(now, now, RANDOM);
      const waitMs = breaker.waitMs(now);
      waits.push(waitMs);
      now += waitMs;
      breaker.enter(now);
    }
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 4_000, 4_000]);
    breaker.succeeded();
    breaker.failed(now, now, RANDOM);
    expect(breaker.waitMs(now)).toBe(500);
  });

  test("counts requests that were under way when it opened as one round", () => {
    for (const startedAt of [0, 10, 20]) breaker.failed(100 + startedAt, startedAt, RANDOM);
    expect(breaker.waitMs(120)).toBe(480);
    breaker.failed(130, 30, RANDOM, { retryAfterMs: 3_000 });
    expect(breaker.waitMs(130)).toBe(3_000);
    // A shorter `Retry-After` doesn't shorten a longer one that came before.
    breaker.failed(140, 40, RANDOM, { retryAfterMs: 100 });
    expect(breaker.waitMs(140)).toBe(2_990);
  });

  test("waits as long as the origin asks, be it longer than the policy", () => {
    breaker.failed(0, 0, RANDOM, { retryAfterMs: 60_000 });
    expect([breaker.isPassable(59_999), breaker.isPassable(60_000)]).toEqual([false, true]);
  });

  test("lets one through at once when something has changed outside, and starts counting anew", () => {
    for (const now of [0, 1_000, 3_000]) breaker.failed(now, now, RANDOM);
    breaker.probeNow(3_100);
    expect([breaker.isOpen, breaker.isPassable(3_100), breaker.waitMs(3_100)]).toEqual([true, true, 0]);
    breaker.enter(3_100);
    breaker.failed(3_200, 3_100, RANDOM);
    expect(breaker.waitMs(3_200)).toBe(500);
  });
});
