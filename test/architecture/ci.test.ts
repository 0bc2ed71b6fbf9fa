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

/** Runs `.ci/run` with a stand-in for npm whose runs of `npm test` end like this, one after another. */
function runCi(runs: readonly Run[]) {
  const folder = mkdtempSync(join(tmpdir(), "backhaul-npm-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const calls = join(folder, "calls");
  const npm = join(folder, "npm");
  writeFileSync(
    npm,
    `#!${process.execPath}
const { appendFileSync, existsSync, readFileSync, writeFileSync } = require("node:fs");
const calls = ${JSON.stringify(calls)};
const turn = existsSync(calls) ? readFileSync(calls, "utf8").split("\\n").length - 1 : 0;
appendFileSync(calls, process.argv.slice(2).join(" ") + "\\n");
const { status, counts } = ${JSON.stringify(runs)}[turn];
const file = process.argv.find((each) => each.startsWith("--outputFile.json=")).split("=")[1];
if (counts) writeFileSync(file, JSON.stringify({ numPassedTests: counts.passed, numFailedTests: counts.failed }));
process.exit(status);
`,
  );
  chmodSync(npm, 0o755);
  const env = { ...process.env, PATH: `${folder}${delimiter}${process.env.PATH}` };
  const { status, stdout } = spawnSync(join(ROOT, ".ci/run"), { env, cwd: tmpdir(), encoding: "utf8" });
  return {
    status,
    lastLine: stdout.trimEnd().split("\n").at(-1),
    calls: existsSync(calls) ? readFileSync(calls, "utf8").trimEnd().split("\n") : [],
  };
}

test("a change that passes every run may land, and the tests of all runs are counted together", () => {
  const { status, lastLine, calls } = runCi([
    { status: 0, counts: { passed: 700, failed: 0 } },
    { status: 0, counts: { passed: 40, failed: 0 } },
  ]);
  expect({ status, lastLine }).toEqual({ status: 0, lastLine: "740 passed, 0 failed" });
  expect(calls).toEqual([
    expect.stringMatching(/^test -- --project=unit --project=simulation .*--project=browser /),
    expect.stringMatching(/^test -- --project=slow --project=raw --project=faults /),
  ]);
});

test("a failed test is counted, and the slow run is spared", () => {
  const { status, lastLine, calls } = runCi([{ status: 1, counts: { passed: 698, failed: 2 } }]);
  expect({ status, lastLine, runs: calls.length }).toEqual({
    status: 1,
    lastLine: "698 passed, 2 failed",
    runs: 1,
  });
});

test("a run that fails outside of a test counts as one failure", () => {
  expect(runCi([{ status: 2 }])).toMatchObject({ status: 1, lastLine: "0 passed, 1 failed" });
  expect(
    runCi([
      { status: 0, counts: { passed: 700, failed: 0 } },
      { status: 1, counts: { passed: 40, failed: 0 } },
    ]),
  ).toMatchObject({ status: 1, lastLine: "740 passed, 1 failed" });
});

test("nothing has passed if no test ran", () => {
  const nothing = { status: 0, counts: { passed: 0, failed: 0 } };
  expect(runCi([nothing, nothing])).toMatchObject({ status: 1, lastLine: "0 passed, 0 failed" });
});
