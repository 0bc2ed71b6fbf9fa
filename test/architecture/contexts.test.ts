import { execFile } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { afterAll, expect, test } from "vitest";
import { ROOT } from "./source-files.ts";

const run = promisify(execFile);
// In the repository, for `extends` and `types` to be found; in `dist`, which git ignores.
const SCRATCH = `${ROOT}/dist/contexts-test-${process.pid}`;

afterAll(() => rm(SCRATCH, { recursive: true, force: true }));

/** Compiles each expression in one more file of a project; gives the error code of each, or "". */
async function check(project: string, expressions: readonly string[]): Promise<Record<string, string>> {
  const folder = `${SCRATCH}/${project.replaceAll("/", "-")}`;
  await mkdir(folder, { recursive: true });
  const config = {
    extends: `${ROOT}/${project}/tsconfig.json`,
    compilerOptions: { composite: false, emitDeclarationOnly: false, declarationMap: false },
    include: ["."],
    exclude: [],
  };
  await writeFile(`${folder}/tsconfig.json`, JSON.stringify(config));
  const lines = expressions.map((expression, index) => `export const x${index}: unknown = ${expression};\n`);
  await writeFile(`${folder}/extra.ts`, lines.join(""));
  const tsc = ["tsc", "--noEmit", "--pretty", "false", "-p", folder];
  const output = await run("npx", tsc, { cwd: ROOT }).then(
    ({ stdout }) => stdout,
    ({ stdout }: { stdout: string }) => stdout,
  );
  const codes = expressions.map(
    (_, index) => output.match(`extra\\.ts\\(${index + 1},\\d+\\): error (TS\\d+)`)?.[1],
  );
  // Nothing else may be wrong, or all of this would say nothing.
  expect(output.match(/error TS/g)?.length ?? 0, output).toBe(codes.filter(Boolean).length);
  return Object.fromEntries(expressions.map((expression, index) => [expression, codes[index] ?? ""]));
}

const CANNOT_FIND_NAME = "TS2304";

test.each([
  ["src/core", ["Math.max", "Promise"], ["fetch", "window", "setTimeout", "AbortSignal", "Blob"]],
  ["src", ["window", "fetch", "navigator.serviceWorker"], ["clients", "registration"]],
  ["sw", ["fetch", "indexedDB", "null as ServiceWorkerGlobalScope | null"], ["window", "localStorage"]],
  ["s3", ["URL", "AbortSignal"], ["window", "localStorage"]],
  ["server", ["process", "fetch"], ["window", "localStorage"]],
  ["demo/page", ["window"], ["clients"]],
  ["demo/worker", ["fetch"], ["window"]],
] as const)("in %s there is %j, and there is not %j", { timeout: 60_000 }, async (project, own, strays) => {
  expect(await check(project, [...own, ...strays])).toEqual({
    ...Object.fromEntries(own.map((expression) => [expression, ""])),
    ...Object.fromEntries(strays.map((expression) => [expression, CANNOT_FIND_NAME])),
  });
});
