// Everything that must hold before a change lands. Ends with a line "N passed, N failed".
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./install.mjs";

/** Arguments of `npm test --`, in the order in which they run. After a failure the rest is left out. */
const RUNS = {
  quick: ["unit", "simulation", "server", "contract", "browser"].map((name) => `--project=${name}`),
  slow: [
    ...["slow", "raw", "faults"].map((name) => `--project=${name}`),
    // Of the lifetime tests those that don't depend on when the browser's own transfers choose to begin, which may take it
    // minutes. The others: npm test -- --project=raw
    ...["demo", "raw-chromium", "worker-lane", "browser-closed", "test/faults/"],
  ],
};

const reports = mkdtempSync(join(tmpdir(), "backhaul-ci-"));
let passed = 0;
let failed = 0;
for (const [name, wanted] of Object.entries(RUNS)) {
  const file = join(reports, `${name}.json`);
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${file}`];
  const args = ["test", "--", ...wanted, ...reporters];
  const { status } = spawnSync("npm", args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  const counts = countTests(file);
  passed += counts.passed;
  // Whatever fails outside a test (an install, a type error, a build) is one failure.
  failed += status !== 0 ? Math.max(counts.failed, 1) : counts.failed;
  if (status !== 0) break;
}
rmSync(reports, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;

function countTests(file) {
  if (!existsSync(file)) return { passed: 0, failed: 0 };
  const report = JSON.parse(readFileSync(file, "utf8"));
  return { passed: report.numPassedTests, failed: report.numFailedTests };
}
