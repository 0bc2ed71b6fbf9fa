// `npm run coverage`: how many of the worker's lines the tests run that need Node alone, room by room.
import { readdirSync, readFileSync } from "node:fs";
import { relative, sep } from "node:path";
import { installPackages, root, run } from "./install.mjs";

/** Smallest share of lines, in percent. Rooms that mostly call the browser are left to the browser tests. */
const SMALLEST_PERCENT = {
  "sw/engine": 90,
  "sw/model": 90,
  "sw/parts": 90,
  "sw/files": 90,
  "sw/background-fetch": 90,
  "sw/pages": 90,
};

installPackages();
// Those of test/architecture read and build the worker and run none of it.
const tests = ["--project=unit", "--project=simulation", "test/unit/", "test/simulation/"];
run("npx", ["vitest", "run", "--coverage", ...tests]);

const folders = readdirSync(`${root}sw`, { withFileTypes: true }).filter((entry) => entry.isDirectory());
const rooms = new Map(["sw", ...folders.map(({ name }) => `sw/${name}`)].map((room) => [room, emptyCount()]));
const { total: _, ...files } = JSON.parse(
  readFileSync(`${root}.cache/coverage/coverage-summary.json`, "utf8"),
);
for (const [file, { lines }] of Object.entries(files)) {
  const [top, folder, ...inside] = relative(root, file).split(sep);
  const count = rooms.get(inside.length > 0 ? `${top}/${folder}` : top);
  if (!count) continue;
  count.covered += lines.covered;
  count.total += lines.total;
}

for (const [room, { covered, total }] of rooms) {
  if (total === 0) continue;
  const percent = (100 * covered) / total;
  const smallest = SMALLEST_PERCENT[room];
  const isEnough = smallest === undefined || percent >= smallest;
  const verdict = isEnough ? "" : `  less than the ${smallest} % that it must have`;
  const share = `${percent.toFixed(1).padStart(6)} %`;
  console.log(`${room.padEnd(22)}${share}  ${covered} of ${total} lines${verdict}`);
  if (!isEnough) process.exitCode = 1;
}
for (const room of Object.keys(SMALLEST_PERCENT)) {
  if (rooms.get(room)?.total) continue;
  console.log(`${room.padEnd(22)}no such folder, or nothing in it`);
  process.exitCode = 1;
}

function emptyCount() {
  return { covered: 0, total: 0 };
}
