// `npm run attack`: attacks a fresh server as a stranger, as a user against others, and as a hostile S3, and prints a table.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installPackages, root } from "./install.mjs";

/** What was found by attacking the first server, and the tests that try it: file, and names in it. */
const ATTACKS = [
  ["C1", "unsigned x-amz-copy-source and x-amz-acl on Ceph", [["contract/signing-client"]]],
  [
    "C2",
    "50 relays of one user that drip",
    [["server/relay-fairness", /connections to S3|many requests|least rate/]],
  ],
  [
    "C3",
    "a type, or headers, that nobody signed",
    [["server/object-settings"], ["server/flow", /signed headers/]],
  ],
  [
    "C4",
    "types that run script, and patterns as types",
    [["server/rules"], ["server/object-settings", /downloading/]],
  ],
  ["C5", "heads that never end", [["server/demo-app", /head that never ends/]]],
  ["C6", "bodies of rubbish without a session, and bodies that stop", [["server/security", /bodies/]]],
  [
    "C7",
    "triedForMs without bound, and clients that have gone",
    [["server/lost-begin"], ["server/hostile-s3", /has gone/]],
  ],
  [
    "C8",
    "signed URLs and tokens after their time",
    [["server/token"], ["server/relay-fairness", /authorize/]],
  ],
  [
    "C9",
    "a header's value in an error",
    [
      ["server/options", /can't be sent/],
      ["server/security", /neither responses/],
    ],
  ],
  ["C10", "S3 that answers without end, or not at all", [["server/hostile-s3"]]],
  [
    "C11",
    "paths, keys and secrets that are none",
    [["server/options"], ["server/security", /keys/], ["server/token", /secret/]],
  ],
  ["C12", "HTTP/2 and Cloudflare Workers", [["server/http2"], ["server/workers"]]],
  ["C13", "what a sign-out leaves on the device", [["unit/engine/commands", /on the device/]]],
  ["D1", "DNS rebinding, and links out of the demo's folder", [["server/demo-app"]]],
  [
    "D2",
    "pages of other origins",
    [
      ["server/options", /other origins/],
      ["server/security", /another origin/],
    ],
  ],
];

installPackages();
const folder = mkdtempSync(join(tmpdir(), "backhaul-attack-"));
const outputFile = join(folder, "report.json");
const files = new Set(ATTACKS.flatMap(([, , tests]) => tests.map(([file]) => `test/${file}.test.ts`)));
const reporters = ["--reporter=json", `--outputFile.json=${outputFile}`, "--silent"];
spawnSync("npx", ["vitest", "run", ...files, ...reporters], {
  cwd: root,
  stdio: ["ignore", "ignore", "inherit"],
});
const { testResults } = JSON.parse(readFileSync(outputFile, "utf8"));
rmSync(folder, { recursive: true });

let isHeld = true;
console.log(
  `${"".padEnd(5)}${"attack".padEnd(62)}${"held".padStart(5)}${"broke".padStart(6)}${"skipped".padStart(8)}`,
);
for (const [id, name, tests] of ATTACKS) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const [file, names = /^/] of tests) {
    const result = testResults.find((each) => each.name.endsWith(`/test/${file}.test.ts`));
    const tried = (result?.assertionResults ?? []).filter(({ fullName }) => names.test(fullName));
    // A test that has got another name must not pass for one that held.
    if (tried.length === 0) counts.failed++;
    for (const { status } of tried) counts[status === "passed" || status === "failed" ? status : "skipped"]++;
  }
  if (counts.failed > 0) isHeld = false;
  const { passed, failed, skipped } = counts;
  const numbers = `${`${passed}`.padStart(5)}${`${failed}`.padStart(6)}${`${skipped}`.padStart(8)}`;
  console.log(`${id.padEnd(5)}${name.padEnd(62)}${numbers}`);
}
process.exitCode = isHeld ? 0 : 1;
