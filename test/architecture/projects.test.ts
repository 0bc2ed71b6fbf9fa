import { execFile } from "node:child_process";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { listFiles } from "./list-files.ts";
import { ROOT } from "./source-files.ts";

const run = promisify(execFile);

interface Project {
  readonly files?: readonly string[];
  readonly references?: readonly { readonly path: string }[];
}

/** A project and all that it refers to: their files, by path from the repository's root. */
async function filesOf(config: string, seen: Set<string>): Promise<string[]> {
  if (seen.has(config)) return [];
  seen.add(config);
  const tsc = join(ROOT, "node_modules/.bin/tsc");
  const { stdout } = await run(tsc, ["--showConfig", "--project", config], { cwd: ROOT });
  const { files = [], references = [] } = JSON.parse(stdout) as Project;
  const configs = references.map(({ path }) => {
    const target = resolve(dirname(config), path);
    return target.endsWith(".json") ? target : join(target, "tsconfig.json");
  });
  const others = await Promise.all(configs.map((each) => filesOf(each, seen)));
  return [...files.map((file) => fromRoot(resolve(dirname(config), file))), ...others.flat()];
}

function fromRoot(file: string): string {
  return relative(ROOT, file).split(sep).join("/");
}

test("the compiler checks every TypeScript file of the repository", { timeout: 60_000 }, async () => {
  const seen = new Set<string>();
  const checked = new Set(await filesOf(join(ROOT, "tsconfig.json"), seen));
  const written = await listFiles("*.ts", "*.tsx", "*.mts", "*.cts");
  expect(written.length).toBeGreaterThan(100);
  expect(written.filter((file) => !checked.has(file))).toEqual([]);

  // A project that none refers to would be read by editors only.
  const configs = await listFiles("*tsconfig*.json");
  const unused = configs.filter((file) => !seen.has(join(ROOT, file)));
  expect(unused.map((file) => basename(file))).toEqual(["tsconfig.base.json"]);
});
