import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Line } from "./fault.ts";
import type { Cell } from "./matrix.ts";
import type { Outcome } from "./run-cell.ts";
import { type Method, TARGETS } from "./targets.ts";

const FILE = fileURLToPath(new URL("../../docs/faults.md", import.meta.url));

const INTRO = `# What becomes of an upload when something fails

Written by the run of \`test/faults\`: what was observed, in Chromium, with a proxy on each of the three lines that breaks one request, or all
of a kind ("always", until it is lifted). Every upload that is done was read back and compared by SHA-256; no part
that S3 had was sent again; no multipart upload was left open at S3.

- **done**: it has arrived, with no help.
- **failed CODE**: it has ended, and says why. What it had open at S3 is aborted.
- **waiting/REASON CODE → done**: it rests, tries again by itself (\`backoff\`) or waits for \`setAuth\` (\`auth\`), and was done once the fault was lifted.

Requests with nothing in their cell are not struck by that fault, or it would be the same as another.
`;

const LINES: Readonly<Record<Line, string>> = {
  control: "From the worker to the app's server",
  data: "From the worker to S3",
  behind: "From the app's server to S3",
};
const METHODS: Readonly<Record<Method, string>> = { single: "single PUT", multipart: "multipart" };

/** Writes `docs/faults.md`. */
export async function writeTable(outcomes: ReadonlyMap<Cell, Outcome>): Promise<void> {
  const sections = Object.entries(LINES).flatMap(([line, title]) =>
    Object.entries(METHODS).map(([method, name]) => {
      const cells = [...outcomes].filter(([cell]) => cell.line === line && cell.method === method);
      return `## ${title}, ${name}\n\n${tableOf(cells)}`;
    }),
  );
  await writeFile(FILE, [INTRO, ...sections].join("\n"));
}

function tableOf(cells: readonly (readonly [Cell, Outcome])[]): string {
  const struck = new Set(cells.map(([{ request }]) => request));
  const requests = TARGETS.map(({ request }) => request).filter((request) => struck.has(request));
  const rows = [...new Set(cells.map(([cell]) => rowOf(cell)))].sort();
  const found = new Map(cells.map(([cell, outcome]) => [`${rowOf(cell)}\n${cell.request}`, outcome]));
  return [
    line(["fault", ...requests]),
    line(["---", ...requests.map(() => "---")]),
    ...rows.map((row) => line([row, ...requests.map((request) => textOf(found.get(`${row}\n${request}`)))])),
    "",
  ].join("\n");
}

function rowOf({ fault, times }: Cell): string {
  return times === "once" ? fault : `${fault}, always`;
}

function textOf(outcome: Outcome | undefined): string {
  if (!outcome) return "";
  const { end, flaws } = outcome;
  if (flaws.length > 0) return `**${[end, ...flaws].join("; ")}**`;
  return end.startsWith("waiting") ? `${end} → done` : end;
}

function line(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}
