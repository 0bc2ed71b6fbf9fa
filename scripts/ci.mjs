// Everything that must hold before a change lands. Ends with a line "N passed, N failed".
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./install.mjs";

const projects = (...names) => names.map((name) => `--project=${name}`);

/**
 * Runs of the tests, by name: one stage after the other, the runs of a stage side by side. After a stage with a failure the
 * rest is left out. The first stage sets everything up; the second mostly waits, for browsers and for retries.
 */
const STAGES = [
  { quick: ["npm", "test", "--", ...projects("unit", "simulation", "server", "contract", "browser")] },
  {
    // Of the lifetime tests those that don't depend on when the browser's own transfers choose to begin, which may take it
    // minutes. The others: npm test -- --project=raw
    lifetimes: [
      ...["npx", "vitest", "run", ...projects("slow", "raw")],
      ...["demo", "raw-chromium", "worker-lane", "browser-closed"],
    ],
    faults: ["npx", "vitest", "run", ...projects("faults")],
  },
];

const reports = mkdtempSync(join(tmpdir(), "backhaul-ci-"));
let passed = 0;
let failed = 0;
for (const stage of STAGES) {
  const runs = Object.entries(stage);
  const ended = await Promise.all(runs.map(([name, command], index) => runTests(name, command, index === 0)));
  for (const counts of ended) {
    passed += counts.passed;
    failed += counts.failed;
  }
  if (failed > 0) break;
}
rmSync(reports, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;

/** What a run prints is shown at once, or else in one piece when it ends. */
async function runTests(name, [file, ...args], isShownAtOnce) {
  const report = join(reports, `${name}.json`);
  const log = join(reports, `${name}.log`);
  const output = isShownAtOnce ? "inherit" : openSync(log, "w");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const child = spawn(file, [...args, ...reporters], { cwd: root, stdio: ["ignore", output, output] });
  const status = await new Promise((resolve) => {
    child.once("error", resolve);
    child.once("close", resolve);
  });
  if (!isShownAtOnce) process.stdout.write(readFileSync(log));
  const counts = countTests(report);
  // Whatever fails outside a test (an install, a type error, a build) is one failure.
  return { passed: counts.passed, failed: status === 0 ? counts.failed : Math.max(counts.failed, 1) };
}

function countTests(file) {
  if (!existsSync(file)) return { passed: 0, failed: 0 };
  const report = JSON.parse(readFileSync(file, "utf8"));
  return { passed: report.numPassedTests, failed: report.numFailedTests };
}
