import { describe, expect, test } from "vitest";
import { runSeed } from "./run-seed.ts";
import { runSeeds } from "./run-seeds.ts";

/** Seeds that have once found a fault, by what it was. They stay, however the dice's later seeds fall. */
const FOUND = [
  [168, "a cookie session was over, and nobody tried again after the sign-in"],
  [97, "eight answers of 429 failed an upload for good, and dropped what S3 had"],
  [102, "a firewall's 403 failed an upload for good"],
  [496, "a 404 that was not S3's threw every part away"],
  [79, "conditions of many uploads were written again by every look"],
  [90, "a sync counted as used while something still waited"],
  [195, "a wait went by a clock that was set back"],
  [45, "a small write waited behind a large copy"],
  [417, "a part that the browser had sent was sent again"],
  [200, "an upload without a fault of its own stood still at another's gate"],
  [76, "parts in doubt went by a clock that was set back, and were asked for without end"],
  [399, "a look-up that had failed was begun again without end"],
  [692, "a gate was tried again by all as soon as anything succeeded"],
  [678, "an upload that was done and removed was added again by its page"],
  [6378, "a file that was given again was not read, since its driver had just given up"],
  [7416, "a part was handed over while it waited for its signature, and sent by both"],
] as const;

describe("a fault that was found stays mended", () => {
  test.each(FOUND)("seed %d: %s", async (seed) => {
    expect((await runSeed(seed)).violations).toEqual([]);
  });
});

test("a fixed set of seeds breaks no rule", async () => {
  expect(await runSeeds({ from: 10_001, count: 500, mostBroken: 5 })).toEqual([]);
});

test("a seed gives the same history each time", async () => {
  const [first, second] = [await runSeed(24), await runSeed(24)];
  expect(second.log).toEqual(first.log);
});
