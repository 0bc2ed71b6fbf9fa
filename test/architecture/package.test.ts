import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, posix } from "node:path";
import { promisify } from "node:util";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { listFiles } from "./list-files.ts";
import { mentionsOf } from "./mentions.ts";
import { ROOT } from "./source-files.ts";

const run = promisify(execFile);
const manifest = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as {
  readonly name: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
};
/** Without `./package.json` and the standalone files, which have no types. */
const entries = Object.entries(manifest.exports).flatMap(([subpath, targets]) =>
  typeof targets === "string" ? [] : [{ subpath, targets }],
);

let scratch = "";
let tarball = "";
/** Of what is packed, by path from the package's root. */
let packed: readonly string[] = [];

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "backhaul-package-"));
  const clone = join(scratch, "clone");
  for (const file of await listFiles()) {
    await mkdir(dirname(join(clone, file)), { recursive: true });
    await cp(join(ROOT, file), join(clone, file), { verbatimSymlinks: true });
  }
  await symlink(join(ROOT, "node_modules"), join(clone, "node_modules"));
  // Files of an earlier build lie about, which must not get into the package.
  for (const file of ["dist/stale-chunk.js", "dist/sw/stale-chunk.js", "dist/types/src/stale-chunk.d.ts"]) {
    await mkdir(dirname(join(clone, file)), { recursive: true });
    await writeFile(join(clone, file), "export {};\n");
  }
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", scratch], { cwd: clone });
  const report = JSON.parse(stdout) as PackReport | Record<string, PackReport[number]>;
  const [result] = Object.values(report);
  if (!result) throw new Error("nothing was packed");
  tarball = join(scratch, result.filename);
  packed = result.files.map(({ path }) => path);
  await run("tar", ["-xzf", tarball, "-C", scratch]);
}, 180_000);

afterAll(() => rm(scratch, { recursive: true, force: true }));

type PackReport = readonly {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}[];

describe("a package that is made from a clean clone", () => {
  test("holds every file that its exports and its command name", () => {
    const named = [
      ...Object.values(manifest.exports).flatMap((targets) =>
        typeof targets === "string" ? [targets] : Object.values(targets),
      ),
      ...Object.values(manifest.bin),
    ].map((file) => posix.normalize(file));
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((file) => !packed.includes(file))).toEqual([]);
  });

  test("holds no code but what its entries import", async () => {
    const used = new Set<string>();
    const visit = async (file: string): Promise<void> => {
      if (used.has(file)) return;
      used.add(file);
      const { imports } = mentionsOf(file, await readFile(join(scratch, "package", file), "utf8"));
      for (const specifier of imports.filter((each) => each.startsWith(".")))
        await visit(posix.join(posix.dirname(file), specifier));
    };
    const standalone = Object.values(manifest.exports).filter((target) => typeof target === "string");
    const starts = [
      ...entries.map(({ targets }) => targets.default ?? ""),
      ...standalone.filter((file) => file.endsWith(".js")),
      ...Object.values(manifest.bin),
    ];
    for (const file of starts) await visit(posix.normalize(file));
    expect(packed.filter((file) => file.endsWith(".js")).sort()).toEqual([...used].sort());
    expect(packed.filter((file) => file.includes("stale"))).toEqual([]);
  });

  test("holds what its user reads, and nothing that only its developers need", async () => {
    const read = ["README.md", "CHANGELOG.md", "LICENSE", ...(await listFiles("docs/", "LICENSES/"))];
    expect(packed).toEqual(expect.arrayContaining(read));
    const folders = new Set(packed.map((file) => (file.includes("/") ? file.split("/", 1)[0] : "")));
    expect([...folders].sort()).toEqual([
      "",
      "LICENSES",
      "bindings",
      "dist",
      "docs",
      "s3",
      "server",
      "src",
      "sw",
    ]);
    expect(packed.filter((file) => /tsconfig|tsbuildinfo|\.test\./.test(file))).toEqual([]);
  });

  test("holds the source that each of its source maps names", async () => {
    const missing: string[] = [];
    for (const file of packed.filter((each) => each.endsWith(".map"))) {
      const map = JSON.parse(await readFile(join(scratch, "package", file), "utf8")) as SourceMap;
      for (const [index, source] of map.sources.entries()) {
        const path = posix.join(posix.dirname(file), source);
        if (map.sourcesContent?.[index] == null && !packed.includes(path)) missing.push(`${file}: ${source}`);
      }
    }
    expect(missing).toEqual([]);
  });

  test("gives its declarations, never its sources, to each way of the compiler to find types", {
    timeout: 60_000,
  }, async () => {
    const data = new Uint8Array(await readFile(tarball));
    const analysis = await checkPackage(createPackageFromTarballData(data), {
      excludeEntrypoints: [/^\.\/standalone\//, "./style.css"],
    });
    if (!analysis.types) throw new Error("no types were found");
    for (const { subpath, targets } of entries) {
      const found = Object.values(analysis.entrypoints[subpath]?.resolutions ?? {}).map(
        ({ resolution }) => resolution?.fileName,
      );
      const types = `/node_modules/${manifest.name}/${posix.normalize(targets.types ?? "")}`;
      expect(found, subpath).toEqual(found.map(() => types));
      expect(found.length).toBe(4);
    }
    // The package is made of ES modules, and that is all it can be to an app of CommonJS.
    const problems = analysis.problems.filter(({ kind }) => kind !== "CJSResolvesToESM");
    expect(problems).toEqual([]);
  });
});

/** Runs a module in plain Node, beside the unpacked package, and returns what it prints. */
async function runInNode(source: string): Promise<unknown> {
  const root = join(scratch, "package");
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", source], { cwd: root });
  return JSON.parse(stdout);
}

describe("in plain Node, as on a server or in a test of an app", () => {
  beforeAll(() => symlink(join(ROOT, "node_modules"), join(scratch, "package/node_modules")));

  test("every entry can be imported, and those of pages and workers say NOT_SUPPORTED once they are used", async () => {
    const subpaths = entries.map(({ subpath }) => posix.join(manifest.name, subpath));
    const found = await runInNode(`
      const modules = {};
      for (const subpath of ${JSON.stringify(subpaths)}) modules[subpath] = await import(subpath);
      const codeOf = async (use) => { try { await use(); } catch ({ code }) { return code; } };
      console.log(JSON.stringify({
        names: Object.fromEntries(Object.entries(modules).map(([subpath, module]) => [subpath, Object.keys(module).length])),
        page: await codeOf(() => modules.backhaul.connectUploads({ worker: "/sw.js" })),
        worker: await codeOf(() => modules["backhaul/sw"].serveUploads({
          storage: modules["backhaul/sw"].httpStorage({ endpoint: "/uploads" }),
        })),
      }));`);
    expect(found).toEqual({
      names: Object.fromEntries(subpaths.map((subpath) => [subpath, expect.any(Number)])),
      page: "NOT_SUPPORTED",
      worker: "NOT_SUPPORTED",
    });
  });

  test("the standalone page needs no other module, and the standalone worker no module at all", async () => {
    const read = (file: string) => readFile(join(scratch, "package/dist/standalone", file), "utf8");
    for (const file of ["backhaul.js", "backhaul-sw.js"])
      expect(mentionsOf(file, await read(file)).imports, file).toEqual([]);
    const names = await runInNode(`
      import { readFileSync } from "node:fs";
      import { runInNewContext } from "node:vm";
      const context = {};
      runInNewContext(readFileSync("dist/standalone/backhaul-sw.js", "utf8"), context);
      console.log(JSON.stringify(Object.keys(context.backhaul)));`);
    expect(names).toEqual(expect.arrayContaining(["serveUploads", "httpStorage", "sha256"]));
  });
});

test("publint finds nothing to say about the package", async () => {
  const { messages } = await publint({ pkgDir: join(scratch, "package"), pack: false, strict: true });
  expect(messages.map((message) => formatMessage(message, manifest))).toEqual([]);
});

interface SourceMap {
  readonly sources: readonly string[];
  readonly sourcesContent?: readonly (string | null)[];
}
