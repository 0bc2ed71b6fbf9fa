// `npm run simulate -- --seeds 20000 --from 1`: runs so many histories on all cores. `--seed N`: repeats one, prints its shortest
// form that still fails, and that one's history. `--planted`: runs against planted faults.
import { parseArgs } from "node:util";
import { runHistory } from "./history.ts";
import { runPlanted } from "./run-planted.ts";
import { runSeed } from "./run-seed.ts";
import { runSeeds } from "./run-seeds.ts";
import { ruleOf, shrink } from "./shrink.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    "stop-at": { type: "string", default: "20" },
    planted: { type: "boolean", default: false },
  },
});

process.on("unhandledRejection", () => {});
process.exitCode = (await runWhatIsWanted()) ? 0 : 1;

function runWhatIsWanted(): Promise<boolean> {
  if (values.planted) return runPlanted();
  return values.seed ? repeat(Number(values.seed)) : runAll();
}

/** Repeats one history, in its shortest form. Returns whether it is as it should be. */
async function repeat(seed: number): Promise<boolean> {
  const { scenario, violations, log } = await runSeed(seed);
  const [violation] = violations;
  if (!violation) {
    print(log);
    console.log(`Seed ${seed}: nothing is broken.`);
    return true;
  }
  const shortest = await shrink(scenario, ruleOf(violation));
  print((await runHistory(shortest)).log);
  console.log(`\nSeed ${seed}: ${violation}\n`);
  console.log(JSON.stringify(shortest, null, 2));
  return false;
}

/** Runs all seeds on all cores. Returns whether none has broken a rule. */
async function runAll(): Promise<boolean> {
  const count = Number(values.seeds);
  const startedAt = performance.now();
  let progress = "";
  const range = { from: Number(values.from), count, mostBroken: Number(values["stop-at"]) };
  const timer = setInterval(() => console.error(progress), 5_000);
  let printed = 0;
  const broken = await runSeeds(range, (done, found) => {
    const rate = done / ((performance.now() - startedAt) / 1_000);
    const left = Math.round((count - done) / rate);
    progress = `${done} of ${count} seeds, ${found.length} broken, ${rate.toFixed(1)} a second, ${left} s left`;
    for (const { seed, violations } of found.slice(printed)) console.log(`seed ${seed}: ${violations[0]}`);
    printed = found.length;
  });
  clearInterval(timer);
  console.log(progress);
  return broken.length === 0;
}

function print(log: readonly string[]): void {
  for (const line of log) console.log(line);
}
