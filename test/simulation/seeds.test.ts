import { describe, expect, test } from "vitest";
import { foundHistories } from "./found.ts";
import { runHistory } from "./history.ts";
import { runSeed } from "./run-seed.ts";
import { runSeeds } from "./run-seeds.ts";

describe("a fault that was found stays mended", () => {
  test.each(foundHistories())("$fault", async ({ scenario }) => {
    expect((await runHistory(scenario)).violations).toEqual([]);
  });
});

test("a fixed set of seeds breaks no rule", async () => {
  expect(await runSeeds({ from: 10_001, count: 300, mostBroken: 5 })).toEqual([]);
});

test("a seed gives the same history each time", async () => {
  const [first, second] = [await runSeed(24), await runSeed(24)];
  expect(second.log).toEqual(first.log);
});
