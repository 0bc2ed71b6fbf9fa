import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { ROOT } from "./source-files.ts";

interface Run {
  readonly status: number;
  /** None if it ended before Vitest did. */
  readonly counts?: { readonly passed: number; readonly failed: number };
}

type Runs = { readonly quick: Run; readonly lifetimes?: Run; readonly faults?: Run };

/** Runs `.ci/run` with a stand-in for npm and npx whose runs of the tests end like this. */
function runCi(runs: Runs) {
  const folder = mkdtempSync(join(tmpdir(), "backhaul-npm-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const calls = join(folder, "calls");
  for (const name of ["npm", "npx"]) {
    const command = join(folder, name);
    writeFileSync(
      command,
      `#!${process.execPath}
const { appendFileSync, writeFileSync } = require("node:fs");
const { basename } = require("node:path");
appendFileSync(${JSON.stringify(calls)}, ["${name}", ...process.argv.slice(2)].join(" ") + "\\n");
const file = process.argv.find((each) => each.startsWith("--outputFile.json=")).split("=")[1];
const { status, counts } = ${JSON.stringify(runs)}[basename(file, ".json")];
console.log("what", basename(file, ".json"), "prints");
if (counts) writeFileSync(file, JSON.stringify({ numPassedTests: counts.passed, numFailedTests: counts.failed }));
process.exit(status);
`,
    );
    chmodSync(command, 0o755);
  }
  const env = { ...process.env, PATH: `${folder}${delimiter}${process.env.PATH}` };
  const { status, stdout } = spawnSync(join(ROOT, ".ci/run"), { env, cwd: tmpdir(), encoding: "utf8" });
  return {
    status,
    lastLine: stdout.trimEnd().split("\n").at(-1),
    printed: stdout.match(/(?<=^what )\w+(?= prints$)/gm) ?? [],
    calls: existsSync(calls) ? readFileSync(calls, "utf8").trimEnd().split("\n") : [],
  };
}

const passed = (count: number): Run => ({ status: 0, counts: { passed: count, failed: 0 } });

test("a change that passes every run may land, and the tests of all runs are counted together", () => {
  const { status, lastLine, calls, printed } = runCi({
    quick: passed(700),
    lifetimes: passed(40),
    faults: passed(30),
  });
  expect({ status, lastLine }).toEqual({ status: 0, lastLine: "770 passed, 0 failed" });
  expect(calls[0]).toMatch(/^npm test -- --project=unit --project=simulation .*--project=browser /);
  expect(calls.slice(1).sort()).toEqual([
    expect.stringMatching(/^npx vitest run --project=faults /),
    expect.stringMatching(/^npx vitest run --project=slow --project=raw /),
  ]);
  expect(printed.sort()).toEqual(["faults", "lifetimes", "quick"]);
});

test("a failed test is counted, and the slow runs are spared", () => {
  const quick = { status: 1, counts: { passed: 698, failed: 2 } };
  const { status, lastLine, calls } = runCi({ quick });
  expect({ status, lastLine, runs: calls.length }).toEqual({
    status: 1,
    lastLine: "698 passed, 2 failed",
    runs: 1,
  });
});

test("a failure in one of two runs side by side counts, and the other's tests do too", () => {
  const faults = { status: 1, counts: { passed: 20, failed: 3 } };
  expect(runCi({ quick: passed(700), lifetimes: passed(40), faults })).toMatchObject({
    status: 1,
    lastLine: "760 passed, 3 failed",
  });
});

test("a run that fails outside of a test counts as one failure", () => {
  expect(runCi({ quick: { status: 2 } })).toMatchObject({ status: 1, lastLine: "0 passed, 1 failed" });
  const lifetimes = { status: 1, counts: { passed: 40, failed: 0 } };
  expect(runCi({ quick: passed(700), lifetimes, faults: passed(30) })).toMatchObject({
    status: 1,
    lastLine: "770 passed, 1 failed",
  });
});

test("nothing has passed if no test ran", () => {
  const nothing = passed(0);
  expect(runCi({ quick: nothing, lifetimes: nothing, faults: nothing })).toMatchObject({
    status: 1,
    lastLine: "0 passed, 0 failed",
  });
});
