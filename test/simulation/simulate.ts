// `npm run simulate -- --seeds 20000 --from 1`: runs so many histories on all cores. `--seed N`: repeats one, prints its shortest
// form that still fails, and that one's history. `--planted`: runs against planted faults.
import { fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { runHistory } from "./history.ts";
import { runPlanted } from "./run-planted.ts";
import { runSeed } from "./run-seed.ts";
import { ruleOf, shrink } from "./shrink.ts";

const WORKER = fileURLToPath(new URL("./simulate-worker.ts", import.meta.url));

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
  const from = Number(values.from);
  const end = from + Number(values.seeds);
  const mostFailures = Number(values["stop-at"]);
  const failures: { seed: number; violations: readonly string[] }[] = [];
  let next = from;
  let done = 0;
  const startedAt = performance.now();
  const progress = () => {
    const rate = done / ((performance.now() - startedAt) / 1_000);
    const left = Math.round((end - from - done) / rate);
    return `${done} of ${end - from} seeds, ${failures.length} broken, ${rate.toFixed(1)} a second, ${left} s left`;
  };
  const timer = setInterval(() => console.error(progress()), 5_000);
  const lanes = Array.from({ length: availableParallelism() }, () => {
    const worker = fork(WORKER, { execArgv: [...process.execArgv, "--import", "tsx"] });
    return new Promise<void>((resolve, reject) => {
      worker.on("message", (message: "ready" | { seed: number; violations: string[] }) => {
        if (message !== "ready") {
          done += 1;
          if (message.violations.length > 0) failures.push(message);
        }
        if (next < end && failures.length < mostFailures) worker.send(next++);
        else {
          worker.disconnect();
          resolve();
        }
      });
      worker.on("exit", (code) => code && reject(new Error(`a simulation ended with ${code}`)));
    });
  });
  await Promise.all(lanes);
  clearInterval(timer);
  for (const { seed, violations } of failures.sort((a, b) => a.seed - b.seed))
    console.log(`seed ${seed}: ${violations[0]}`);
  console.log(progress());
  return failures.length === 0;
}

function print(log: readonly string[]): void {
  for (const line of log) console.log(line);
}
