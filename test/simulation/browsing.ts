import type { Happening, Scenario } from "./scenario.ts";
import { Random } from "./world/random.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

/**
 * What makes Chromium start the requests of a Background Fetch again: its user goes on browsing elsewhere, and the network or the
 * battery changes. The dice are its own, so that all else in a history stays as it was.
 */
export function withBrowsing(scenario: Scenario): Scenario {
  if (!scenario.hasBackgroundFetch) return scenario;
  const random = new Random(scenario.seed ^ 0xb2057e);
  const happenings: Happening[] = [...scenario.happenings];
  for (let count = random.whole(0, 2); count > 0; count--)
    happenings.push({
      at: random.whole(0, 5 * MINUTE),
      type: "browse",
      everyMs: random.pick([5, 33, 33, 60]) * SECOND,
      forMs: random.whole(1, 6) * MINUTE,
    });
  for (let count = random.whole(0, 3); count > 0; count--)
    happenings.push({ at: random.whole(0, 10 * MINUTE), type: "changeDevice" });
  happenings.sort((a, b) => a.at - b.at);
  return { ...scenario, happenings };
}
