import { withBrowsing } from "./browsing.ts";
import { type HistoryEnd, runHistory } from "./history.ts";
import { type Scenario, scenarioOf } from "./scenario.ts";
import { Random } from "./world/random.ts";

export interface SeedEnd extends HistoryEnd {
  readonly scenario: Scenario;
}

export async function runSeed(seed: number): Promise<SeedEnd> {
  const scenario = withBrowsing(scenarioOf(seed, new Random(seed)));
  return { scenario, ...(await runHistory(scenario)) };
}
