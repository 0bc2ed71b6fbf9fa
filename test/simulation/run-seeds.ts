import { fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";

const WORKER = fileURLToPath(new URL("./simulate-worker.ts", import.meta.url));

export interface BrokenSeed {
  readonly seed: number;
  readonly violations: readonly string[];
}

export interface SeedRange {
  readonly from: number;
  readonly count: number;
  /** Stop once so many have broken a rule. */
  readonly mostBroken: number;
}

/** Runs histories on all cores, each in a process of its own. Returns those that have broken a rule, by seed. */
export async function runSeeds(
  { from, count, mostBroken }: SeedRange,
  onProgress: (done: number, broken: readonly BrokenSeed[]) => void = () => {},
): Promise<readonly BrokenSeed[]> {
  const broken: BrokenSeed[] = [];
  let next = from;
  let done = 0;
  const lane = () =>
    new Promise<void>((resolve, reject) => {
      const worker = fork(WORKER, { execArgv: ["--conditions=backhaul-source", "--import", "tsx"] });
      worker.on("message", (message: "ready" | BrokenSeed) => {
        if (message !== "ready") {
          done += 1;
          if (message.violations.length > 0) broken.push(message);
          onProgress(done, broken);
        }
        if (next < from + count && broken.length < mostBroken) worker.send(next++);
        else {
          worker.disconnect();
          resolve();
        }
      });
      worker.on("exit", (code) => code && reject(new Error(`a simulation has ended with ${code}`)));
    });
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), count) }, lane));
  return broken.sort((a, b) => a.seed - b.seed);
}
