import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  addSentBytes,
  advance,
  etaSeconds,
  type Progress,
  speedAt,
  startProgress,
} from "../../sw/model/progress.ts";

const MIB = 1024 * 1024;
const start = startProgress(0, 0);
/** 1,000 bytes a second, confirmed each second, for a minute. */
const steady = Array.from({ length: 60 }).reduce<Progress>(
  (progress, _, second) => addSentBytes(progress, 1_000, (second + 1) * 1_000),
  start,
);

describe("speed", () => {
  test("is unknown until bytes were confirmed over a quarter of a second", () => {
    expect(speedAt(start, 0)).toBeNull();
    expect(speedAt(addSentBytes(start, 100, 249), 249)).toBeNull();
    expect(speedAt(addSentBytes(start, 100, 250), 250)).toBe(400);
  });

  test("loses no bytes to samples that were too short", () => {
    const short = addSentBytes(start, 100, 100);
    expect(speedAt(addSentBytes(short, 100, 1_000), 1_000)).toBe(200);
  });

  test("counts nothing that has arrived already by another way", () => {
    expect(addSentBytes(steady, 0, 62_000)).toBe(steady);
  });

  test("is smoothed: a long sample moves it more than a short one, and none overshoots", () => {
    const before = addSentBytes(start, 1_000, 1_000);
    const short = addSentBytes(before, 5_000, 2_000).bytesPerSecond ?? 0;
    const long = addSentBytes(before, 25_000, 6_000).bytesPerSecond ?? 0;
    expect(short).toBeGreaterThan(1_000);
    expect(long).toBeGreaterThan(short);
    expect(long).toBeLessThan(5_000);
  });

  test("settles on a steady rate", () => {
    expect(speedAt(steady, 60_000)).toBeCloseTo(1_000, 0);
  });

  test("holds while nothing is late, then falls, and is 0 in the end", () => {
    expect(speedAt(steady, 65_000)).toBeCloseTo(1_000, 0);
    expect(speedAt(steady, 67_500)).toBeCloseTo(500, 0);
    expect(speedAt(steady, 70_000)).toBe(0);
    expect(speedAt(steady, 60_000 + 600_000)).toBe(0);
  });

  test("of parts that take a minute and end six at a time does not fall between them", () => {
    let progress = start;
    for (let minute = 1; minute <= 10; minute++)
      for (let part = 0; part < 6; part++)
        progress = addSentBytes(progress, 10 * MIB, minute * 60_000 + part * 300);
    const last = 600_000 + 5 * 300;
    expect(speedAt(progress, last + 59_000)).toBe(progress.bytesPerSecond);
    expect(speedAt(progress, last + 600_000)).toBe(0);
  });

  test("is unknown again after a stall, and not the average over it", () => {
    const again = addSentBytes(steady, 1_000, 660_000);
    expect(speedAt(again, 660_000)).toBeNull();
    expect(speedAt(addSentBytes(again, 1_000, 661_000), 661_000)).toBe(1_000);
  });
});

describe("the estimate", () => {
  test("adds what the speed makes likely since it was made last", () => {
    const shown = advance(steady, 60_000, 10_000, 60_000);
    expect(advance(shown, 60_000, 10_000, 62_000).shownBytes).toBeCloseTo(62_000, -1);
  });

  test("does not go back when one of several parts is confirmed: the others are on their way all the same", () => {
    let progress = addSentBytes(startProgress(0, 0), 60 * MIB, 6_000);
    progress = advance(progress, 60 * MIB, 60 * MIB, 6_000);
    progress = advance(progress, 60 * MIB, 60 * MIB, 11_000);
    expect(progress.shownBytes).toBe(110 * MIB);
    const after = addSentBytes(progress, 10 * MIB, 11_000);
    expect(advance(after, 70 * MIB, 50 * MIB, 11_000).shownBytes).toBe(110 * MIB);
  });

  test("adds nothing while the speed is unknown, nor once nothing moves", () => {
    expect(advance(start, 0, 10_000, 60_000).shownBytes).toBe(0);
    const late = advance(steady, 60_000, MIB, 90_000);
    expect(late.shownBytes).toBeLessThan(70_000);
    expect(advance(late, 60_000, MIB, 900_000).shownBytes).toBe(late.shownBytes);
  });

  test("stays between what is confirmed and the whole, and never goes back, whatever happens to the parts", () => {
    const step = fc.record({
      ms: fc.nat({ max: 900_000 }),
      sent: fc.nat({ max: 3 }),
      found: fc.nat({ max: 1 }),
      flying: fc.nat({ max: 6 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let [progress, done, now] = [start, 0, 0];
        const size = 100 * MIB;
        for (const { ms, sent, found, flying } of steps) {
          now += ms;
          progress = addSentBytes(progress, Math.min(sent * MIB, size - done), now);
          done = Math.min(size, done + (sent + found) * MIB);
          const next = advance(progress, done, Math.min(flying * MIB, size - done), now);
          expect(next.shownBytes).toBeGreaterThanOrEqual(Math.max(progress.shownBytes, done));
          expect(next.shownBytes).toBeLessThanOrEqual(size);
          progress = next;
        }
      }),
    );
  });
});

describe("the time left", () => {
  const shown = advance(steady, 60_000, 0, 60_000);

  test("is what is missing by the speed, rounded up", () => {
    expect(etaSeconds(shown, 65_500, 60_000)).toBe(6);
    expect(etaSeconds(shown, 60_000, 60_000)).toBe(0);
  });

  test("is unknown while the speed is, and as soon as nothing has come for longer than usual", () => {
    expect(etaSeconds(start, 10_000, 0)).toBeNull();
    expect(etaSeconds(shown, 100_000, 65_000)).not.toBeNull();
    expect(etaSeconds(shown, 100_000, 65_001)).toBeNull();
    expect(etaSeconds(shown, 100_000, 660_000)).toBeNull();
  });
});
