import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Concurrency } from "../../sw/model/concurrency.ts";

const MIB = 1024 * 1024;

/** A link and a store as far as concurrency sees them. */
interface World {
  /** Bytes per second that one connection gets beside so many others. */
  readonly speed: (connections: number) => number;
  /** More connections at once are refused. */
  readonly most?: number;
  readonly max?: number;
  /** Milliseconds that each part takes besides its bytes. */
  readonly roundTripMs?: number;
  readonly partBytes?: number;
}

/** Sends parts, of 5 MiB unless told, for some seconds of the world's time, one as soon as another ends. */
function send(
  seconds: number,
  { speed, most = Number.POSITIVE_INFINITY, max = 6, roundTripMs = 0, partBytes = 5 * MIB }: World,
) {
  const concurrency = new Concurrency(max);
  const start = (now: number) => ({ startedAt: now, left: partBytes, talkedMs: 0 });
  const running: { startedAt: number; left: number; talkedMs: number }[] = [];
  const limits: number[] = [];
  let arrived = 0;
  let refused = 0;
  const STEP_MS = 10;
  for (let now = 0; now < seconds * 1_000; now += STEP_MS) {
    while (running.length < concurrency.limit) {
      if (running.length >= most) {
        refused += 1;
        concurrency.refused(now);
        break;
      }
      running.push(start(now));
    }
    const sent = (speed(running.length) * STEP_MS) / 1_000;
    for (const part of [...running]) {
      part.talkedMs += STEP_MS;
      if (part.talkedMs <= roundTripMs) continue;
      part.left -= sent;
      if (part.left > 0) continue;
      arrived += 1;
      const wasFull = running.length >= concurrency.limit;
      concurrency.arrived({ ...part, wasFull, bytes: partBytes, endedAt: now });
      running.splice(running.indexOf(part), 1);
      // Its place is taken again at once.
      if (running.length < Math.min(concurrency.limit, most)) running.push(start(now));
    }
    limits.push(concurrency.limit);
  }
  return { concurrency, arrived, refused, limits };
}

const perConnection = (bytesPerSecond: number) => () => bytesPerSecond;
const shared = (bytesPerSecond: number) => (connections: number) => bytesPerSecond / connections;

describe("the parts that are sent at once", () => {
  test("are two at first, or fewer if no more are allowed", () => {
    expect(new Concurrency(6).limit).toBe(2);
    expect(new Concurrency(1).limit).toBe(1);
  });

  test("are as many as allowed, where each brings as much as the one before", () => {
    const { concurrency, limits } = send(20, { speed: perConnection(4 * MIB) });
    expect(concurrency.limit).toBe(6);
    // Two rounds of parts of 1.25 s.
    expect(limits.indexOf(6)).toBeLessThan(300);
  });

  test("stay two where these fill the link", () => {
    const { limits } = send(300, { speed: shared(8 * MIB) });
    const more = limits.filter((limit) => limit > 2).length;
    expect(more / limits.length).toBeLessThan(0.2);
  });

  test("grow to as many as the link serves, of connections that each get a share", () => {
    // Full with four.
    const { limits } = send(300, { speed: (n) => Math.min(2 * MIB, (8 * MIB) / n), max: 16 });
    const settled = limits.slice(limits.length / 2).toSorted((a, b) => a - b);
    expect(settled[settled.length / 2]).toBe(4);
  });

  test("grow to as many as the store accepts, with few refused", () => {
    const { limits, arrived, refused } = send(120, { speed: perConnection(4 * MIB), most: 3 });
    expect(refused / (arrived + refused)).toBeLessThan(0.05);
    const settled = limits.slice(limits.length / 4);
    expect(settled.filter((limit) => limit === 3).length / settled.length).toBeGreaterThan(0.9);
  });

  test("are as many as allowed where the parts are small: more of them at once always pay by their round trips", () => {
    // A machine that takes longer for each, the more there are, looks like a full link.
    const { limits } = send(60, { speed: shared(20_000), roundTripMs: 160, partBytes: 10_000 });
    expect(limits.indexOf(6)).toBeGreaterThan(0);
    expect(limits.slice(limits.indexOf(6)).every((limit) => limit === 6)).toBe(true);
  });

  test("are fewer where small parts are refused", () => {
    const { limits } = send(60, {
      speed: perConnection(MIB),
      roundTripMs: 160,
      partBytes: 10_000,
      most: 3,
    });
    expect(limits.at(-1)).toBeLessThanOrEqual(3);
  });

  test("come back by themselves after a store that refused everything", () => {
    const concurrency = new Concurrency(6);
    for (let n = 0; n < 10; n++) concurrency.refused(0);
    expect(concurrency.limit).toBe(1);
    for (let at = 0; at < 100_000; at += 1_000)
      for (let n = 0; n < concurrency.limit; n++)
        concurrency.arrived({ bytes: 5 * MIB, startedAt: at, endedAt: at + 1_000, wasFull: true });
    expect(concurrency.limit).toBe(6);
  });

  test("are not judged by a part that was sent alone or began before", () => {
    const concurrency = new Concurrency(6);
    const part = { bytes: MIB, startedAt: 0, endedAt: 1_000 };
    for (let n = 0; n < 9; n++) concurrency.arrived({ ...part, wasFull: false });
    expect(concurrency.limit).toBe(2);
    for (let n = 0; n < 2; n++) concurrency.arrived({ ...part, wasFull: true });
    expect(concurrency.limit).toBe(4);
    for (let n = 0; n < 9; n++) concurrency.arrived({ ...part, wasFull: true });
    expect(concurrency.limit).toBe(4);
  });

  test("stay between one and the most, whatever happens", () => {
    const event = fc.oneof(
      fc.record({ bytes: fc.nat(), ms: fc.nat({ max: 100_000 }), wasFull: fc.boolean() }),
      fc.constant("refused" as const),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), fc.array(event, { maxLength: 200 }), (max, events) => {
        const concurrency = new Concurrency(max);
        let now = 0;
        for (const each of events) {
          now += 500;
          if (each === "refused") concurrency.refused(now);
          else concurrency.arrived({ ...each, startedAt: now, endedAt: now + each.ms });
          expect(concurrency.limit).toBeGreaterThanOrEqual(1);
          expect(concurrency.limit).toBeLessThanOrEqual(max);
        }
      }),
    );
  });
});
