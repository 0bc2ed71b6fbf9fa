import { runHistory } from "./history.ts";
import type { Happening, Scenario } from "./scenario.ts";

/** The rule that a violation breaks, without the case's own details. */
export function ruleOf(violation: string): string {
  return violation.split(":")[0] as string;
}

/** Leaves out of a failing history whatever it fails without: as long as the same rule is broken. */
export async function shrink(scenario: Scenario, rule: string): Promise<Scenario> {
  let shortest = scenario;
  for (
    let size = Math.ceil(shortest.happenings.length / 2);
    size >= 1;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  )
    for (let from = 0; from < shortest.happenings.length; ) {
      const happenings = shortest.happenings.filter((_, index) => index < from || index >= from + size);
      if (await breaks({ ...shortest, happenings }, rule)) shortest = { ...shortest, happenings };
      else from += size;
    }
  for (const [index, happening] of shortest.happenings.entries()) {
    if (happening.type !== "add") continue;
    const smaller: Happening = { ...happening, sizes: happening.sizes.slice(0, 1) };
    const happenings = shortest.happenings.with(index, smaller);
    if (await breaks({ ...shortest, happenings }, rule)) shortest = { ...shortest, happenings };
  }
  return shortest;
}

async function breaks(scenario: Scenario, rule: string): Promise<boolean> {
  const { violations } = await runHistory(scenario);
  return violations.some((violation) => ruleOf(violation) === rule);
}
