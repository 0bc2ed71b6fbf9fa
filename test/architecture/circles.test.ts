import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { ROOT } from "./source-files.ts";

const run = promisify(execFile);

/** The files of these folders that import one another in a circle, by the project's own rules for Biome. */
async function filesInCircles(root: string, folders: readonly string[]): Promise<string[]> {
  const args = ["lint", "--reporter=json", "--max-diagnostics=none", "--vcs-enabled=false", ...folders];
  const { stdout } = await run(join(ROOT, "node_modules/.bin/biome"), args, { cwd: root }).catch(
    (error: { code: unknown; stdout: string }) => {
      // Biome ends with 1 where it has found something, and with other codes, or none, where it could not look.
      if (error.code !== 1) throw error;
      return error;
    },
  );
  const { summary, diagnostics } = JSON.parse(stdout) as BiomeReport;
  expect(summary.changed + summary.unchanged).toBeGreaterThan(1);
  const circles = diagnostics.filter(({ category }) => category === "lint/suspicious/noImportCycles");
  return circles.map(({ location }) => location.path).sort();
}

interface BiomeReport {
  readonly summary: { readonly changed: number; readonly unchanged: number };
  readonly diagnostics: readonly {
    readonly category: string;
    readonly location: { readonly path: string };
  }[];
}

test("no file imports itself by way of others", { timeout: 60_000 }, async () => {
  expect(await filesInCircles(ROOT, ["src", "sw", "s3", "server"])).toEqual([]);
});

test.each([
  ["values", `import { b } from "./b.ts"; export const a = b;`],
  ["types", `import type { B } from "./b.ts"; export type A = B;`],
  ["what it exports again", `export * from "./b.ts";`],
  ["types that it exports again", `export type { B } from "./b.ts";`],
  ["a file at run time", `export const load = () => import("./b.ts");`],
])("a circle that is closed by importing %s is found", { timeout: 60_000 }, async (_, source) => {
  const root = await mkdtemp(join(tmpdir(), "backhaul-circles-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  await copyFile(join(ROOT, "biome.json"), join(root, "biome.json"));
  await mkdir(join(root, "sw/room"), { recursive: true });
  await writeFile(join(root, "sw/a.ts"), source);
  await writeFile(join(root, "sw/b.ts"), `export * from "./room/c.ts";`);
  await writeFile(join(root, "sw/room/c.ts"), `import type {} from "../a.ts"; export type B = 1;`);
  await writeFile(join(root, "sw/d.ts"), `import "./a.ts";`);

  expect(await filesInCircles(root, ["sw"])).toEqual(["sw/a.ts", "sw/b.ts", "sw/room/c.ts"]);
});
