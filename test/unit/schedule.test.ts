import { expect, test } from "vitest";
import { compareTurns } from "../../sw/model/schedule.ts";
import { records } from "./records.ts";

const upload = (createdAt: number, size: number, order: number) => ({
  ...records.queued,
  createdAt,
  order,
  plan: { ...records.queued.plan, size },
});

test("first come, first served; of those that came together the small ones; else in order", () => {
  const inTurn = [upload(1, 900, 5), upload(2, 10, 4), upload(2, 20, 1), upload(2, 20, 2), upload(3, 1, 3)];
  const mixed = [3, 0, 4, 2, 1].map((index) => inTurn[index] as (typeof inTurn)[number]);
  expect(mixed.sort(compareTurns)).toEqual(inTurn);
});

test("the app's priority comes before all of that", () => {
  const [late, early] = [{ ...upload(9, 900, 9), priority: 1 }, upload(1, 1, 1)];
  expect([early, { ...early, priority: -1 }, late].sort(compareTurns)).toEqual([
    late,
    early,
    { ...early, priority: -1 },
  ]);
});

test("the state has no say", () => {
  expect(compareTurns(records.queued, records.uploading)).toBe(0);
});
