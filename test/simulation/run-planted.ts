import { type ChildProcess, spawn } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { PLANTED_FAULTS, type PlantedFault } from "./planted.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const MOST_SEEDS = 2_000;
const SOURCES = ["src", "sw", "s3", "server", "test/simulation", "test/support", "package.json"];

/** Plants each fault in a copy of the sources, and prints which seed finds it. Returns whether all were found. */
export async function runPlanted(): Promise<boolean> {
  const waiting = [...PLANTED_FAULTS];
  let missed = 0;
  const lane = async () => {
    for (let fault = waiting.shift(); fault; fault = waiting.shift()) {
      const found = await findPlanted(fault);
      if (!found) missed += 1;
      console.log(`${found ? "found" : "MISSED"}  ${fault.name}  ${found ?? ""}`);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, lane));
  console.log(`${PLANTED_FAULTS.length - missed} of ${PLANTED_FAULTS.length} planted faults were found.`);
  return missed === 0;
}

/** Returns the first seed that breaks a rule, with the rule; undefined if none of `MOST_SEEDS` does. */
async function findPlanted({ name, file, find, replace }: PlantedFault): Promise<string | undefined> {
  const folder = await mkdtemp(join(tmpdir(), "backhaul-planted-"));
  try {
    for (const source of SOURCES) await cp(join(ROOT, source), join(folder, source), { recursive: true });
    await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
    const path = join(folder, file);
    const text = await readFile(path, "utf8");
    if (text.split(find).length !== 2) throw new Error(`${name}: ${file} has not one place to plant it`);
    await writeFile(
      path,
      text.replace(find, () => replace),
    );
    return await firstBroken(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Runs seeds one after another in a process of its own, until one breaks a rule. */
function firstBroken(folder: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const worker: ChildProcess = spawn(
      process.execPath,
      ["--conditions=backhaul-source", "--import", "tsx", join(folder, "test/simulation/simulate-worker.ts")],
      { cwd: folder, stdio: ["ignore", "ignore", "inherit", "ipc"] },
    );
    let seed = 0;
    const end = (result: string | undefined) => {
      clearTimeout(slow);
      worker.kill();
      resolve(result);
    };
    // A fault may keep a history from ending at all, which shows it as well.
    let slow = setTimeout(() => {}, 0);
    const next = () => {
      seed += 1;
      if (seed > MOST_SEEDS) return end(undefined);
      clearTimeout(slow);
      slow = setTimeout(() => end(`seed ${seed}: it does not end`), 120_000);
      worker.send(seed);
    };
    worker.on("message", (message: "ready" | { seed: number; violations: string[] }) => {
      if (message !== "ready" && message.violations.length > 0)
        end(`seed ${message.seed}: ${message.violations[0]}`);
      else next();
    });
    worker.on("error", reject);
  });
}
