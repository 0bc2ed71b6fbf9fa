import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  canBecomeUnmet,
  checkConditions,
  isMetered,
  type UploadConditions,
} from "../../sw/model/conditions.ts";

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const DAY_MS = 24 * HOUR_MS;
const FREE: UploadConditions = { unmetered: false, notBefore: null, hours: null };
/** Some local midnight. */
const MIDNIGHT = 20_000 * DAY_MS;

const at = (msSinceMidnight: number, isMetered = false) => ({
  now: MIDNIGHT + msSinceMidnight,
  msOfDay: ((msSinceMidnight % DAY_MS) + DAY_MS) % DAY_MS,
  isMetered,
});
const atHour = (hour: number, isMetered = false) => at(hour * HOUR_MS, isMetered);

test.each<[string, Partial<UploadConditions>, ReturnType<typeof at>, ReturnType<typeof checkConditions>]>([
  ["nothing is set", {}, atHour(8, true), { unmet: null, recheckAt: null }],
  ["a metered network", { unmetered: true }, atHour(8, true), { unmet: "unmetered", recheckAt: null }],
  ["an unmetered one", { unmetered: true }, atHour(8), { unmet: null, recheckAt: null }],
  [
    "too early",
    { notBefore: MIDNIGHT + 9 * HOUR_MS },
    atHour(8),
    { unmet: "notBefore", recheckAt: MIDNIGHT + 9 * HOUR_MS },
  ],
  ["time has come", { notBefore: MIDNIGHT }, atHour(0), { unmet: null, recheckAt: null }],
  [
    "by day, for the night",
    { hours: { from: 22, to: 6 } },
    atHour(8),
    { unmet: "hours", recheckAt: MIDNIGHT + 22 * HOUR_MS },
  ],
  [
    "at night, before midnight",
    { hours: { from: 22, to: 6 } },
    atHour(23),
    { unmet: null, recheckAt: MIDNIGHT + 30 * HOUR_MS },
  ],
  [
    "at night, after midnight",
    { hours: { from: 22, to: 6 } },
    atHour(1.5),
    { unmet: null, recheckAt: MIDNIGHT + 6 * HOUR_MS },
  ],
  [
    "the whole day",
    { hours: { from: 0, to: 24 } },
    atHour(8),
    { unmet: null, recheckAt: MIDNIGHT + 24 * HOUR_MS },
  ],
  [
    "in the evening, for the morning",
    { hours: { from: 5.5, to: 8 } },
    atHour(20),
    { unmet: "hours", recheckAt: MIDNIGHT + 29.5 * HOUR_MS },
  ],
  [
    "the network comes first: no clock can help",
    { unmetered: true, notBefore: MIDNIGHT + DAY_MS, hours: { from: 22, to: 6 } },
    atHour(8, true),
    { unmet: "unmetered", recheckAt: null },
  ],
])("%s", (_name, conditions, circumstances, verdict) => {
  expect(checkConditions({ ...FREE, ...conditions }, circumstances)).toEqual(verdict);
});

describe("always", () => {
  const minutes = fc.integer({ min: 0, max: 24 * 60 - 1 });
  const hours = fc
    .tuple(minutes, fc.integer({ min: 0, max: 24 * 60 }))
    .filter(([from, to]) => from !== to)
    .map(([from, to]) => ({ from: from / 60, to: to / 60 }));
  const conditions = fc.record({
    unmetered: fc.boolean(),
    notBefore: fc.option(
      fc.integer({ min: -2 * 24 * 60, max: 2 * 24 * 60 }).map((m) => MIDNIGHT + m * MINUTE_MS),
    ),
    hours: fc.option(
      fc.oneof({ weight: 20, arbitrary: hours }, { weight: 1, arbitrary: fc.constant({ from: 0, to: 24 }) }),
    ),
  }) satisfies fc.Arbitrary<UploadConditions>;
  /** To the minute, as all of the above is. */
  const moment = fc.integer({ min: 0, max: 3 * 24 * 60 }).map((minute) => minute * MINUTE_MS);

  /** By the definition, with no arithmetic on days. */
  function isAllowed(
    { unmetered, notBefore, hours }: UploadConditions,
    { now, msOfDay, isMetered }: ReturnType<typeof at>,
  ) {
    if ((unmetered && isMetered) || (notBefore !== null && now < notBefore)) return false;
    if (hours === null) return true;
    const end = Math.round(hours.to * 60) % (24 * 60);
    let minute = Math.round(hours.from * 60);
    // From 0 to 24 is the whole day: its end is looked at only after its beginning.
    do {
      if (minute * MINUTE_MS === msOfDay) return true;
      minute = (minute + 1) % (24 * 60);
    } while (minute !== end);
    return false;
  }

  test("an upload may move when each condition holds, and only then", () => {
    fc.assert(
      fc.property(conditions, moment, fc.boolean(), (wanted, ms, isMetered) => {
        const circumstances = at(ms, isMetered);
        expect(checkConditions(wanted, circumstances).unmet === null).toBe(isAllowed(wanted, circumstances));
      }),
      {
        numRuns: 500,
        examples: [[{ unmetered: false, notBefore: null, hours: { from: 0, to: 24 } }, 0, false]],
      },
    );
  });

  test("the result does not change before the time of the next check, and may change then", () => {
    fc.assert(
      fc.property(conditions, moment, fc.boolean(), (wanted, ms, isMetered) => {
        const { unmet, recheckAt } = checkConditions(wanted, at(ms, isMetered));
        const isForbidden = unmet !== null;
        const until = recheckAt === null ? ms + 2 * DAY_MS : recheckAt - MIDNIGHT;
        expect(until).toBeGreaterThan(ms);
        for (let later = ms; later < until; later += 7 * MINUTE_MS)
          expect(checkConditions(wanted, at(later, isMetered)).unmet !== null).toBe(isForbidden);
        if (recheckAt !== null)
          expect(checkConditions(wanted, at(until, isMetered)).unmet).not.toBe(unmet ?? "unmetered");
      }),
      { numRuns: 200 },
    );
  });

  test("conditions that can't become unmet stay met, even over a metered network", () => {
    fc.assert(
      fc.property(conditions, moment, moment, (wanted, ms, more) => {
        if (canBecomeUnmet(wanted) || checkConditions(wanted, at(ms)).unmet !== null) return;
        expect(checkConditions(wanted, at(ms + more, true)).unmet).toBeNull();
      }),
    );
  });
});

test.each([
  [undefined, false],
  [{}, false],
  [{ type: "wifi", saveData: false }, false],
  [{ type: "ethernet" }, false],
  [{ type: "unknown" }, false],
  [{ type: "cellular" }, true],
  [{ type: "wifi", saveData: true }, true],
  [{ saveData: true }, true],
])("%o is metered: %s", (connection, expected) => {
  expect(isMetered(connection)).toBe(expected);
});
