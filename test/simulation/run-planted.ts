import { type ChildProcess, spawn } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { PLANTED_FAULTS, type PlantedFault } from "./planted.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const MOST_SEEDS = 2_000;
const SOURCES = ["src", "sw", "s3", "server", "test/simulation", "test/support", "package.json"];

/** Which seed, counted from 1, has found a fault first, and by which rule. */
interface Find {
  readonly seed: number;
  readonly rule: string;
}

/** Plants each fault in a copy of the sources, and prints which seed finds it. Returns whether all were found. */
export async function runPlanted(): Promise<boolean> {
  const waiting = [...PLANTED_FAULTS];
  const finds = new Map<PlantedFault, Find | undefined>();
  const lane = async () => {
    for (let fault = waiting.shift(); fault; fault = waiting.shift()) {
      const find = await findPlanted(fault);
      finds.set(fault, find);
      const last = `${fault.name}: ${find ? `seed ${find.seed}, ${find.rule}` : "not found"}`;
      console.error(`${finds.size} of ${PLANTED_FAULTS.length} faults planted; the last: ${last}`);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, lane));
  console.log("| planted fault | found by seed (so many were run) | rule |\n|---|---|---|");
  for (const fault of PLANTED_FAULTS) {
    const find = finds.get(fault);
    console.log(`| ${fault.name} | ${find?.seed ?? `none of ${MOST_SEEDS}`} | ${find?.rule ?? ""} |`);
  }
  const found = [...finds.values()].filter((find) => find !== undefined).length;
  console.log(`${found} of ${PLANTED_FAULTS.length} planted faults were found.`);
  return found === PLANTED_FAULTS.length;
}

/** Returns what has found it; undefined if none of `MOST_SEEDS` breaks a rule. */
async function findPlanted({ name, file, find, replace }: PlantedFault): Promise<Find | undefined> {
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
function firstBroken(folder: string): Promise<Find | undefined> {
  return new Promise((resolve, reject) => {
    const worker: ChildProcess = spawn(
      process.execPath,
      ["--conditions=backhaul-source", "--import", "tsx", join(folder, "test/simulation/simulate-worker.ts")],
      { cwd: folder, stdio: ["ignore", "ignore", "inherit", "ipc"] },
    );
    let seed = 0;
    const end = (result: Find | undefined) => {
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
      slow = setTimeout(() => end({ seed, rule: "it does not end" }), 120_000);
      worker.send(seed);
    };
    worker.on("message", (message: "ready" | { seed: number; violations: string[] }) => {
      if (message !== "ready" && message.violations.length > 0)
        end({ seed: message.seed, rule: message.violations[0] ?? "" });
      else next();
    });
    worker.on("error", reject);
  });
}
