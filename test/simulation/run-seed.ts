import { type HistoryEnd, runHistory } from "./history.ts";
import { type Scenario, scenarioOf } from "./scenario.ts";
import { Random } from "./world/random.ts";

export interface SeedEnd extends HistoryEnd {
  readonly scenario: Scenario;
}

export async function runSeed(seed: number): Promise<SeedEnd> {
  const scenario = scenarioOf(seed, new Random(seed));
  return { scenario, ...(await runHistory(scenario)) };
}
