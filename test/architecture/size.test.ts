import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { build } from "vite";
import { expect, test } from "vitest";
import { workerXmlParser } from "../../scripts/worker-xml-parser.ts";
import { ROOT } from "./source-files.ts";

const KB = 1_000;
const README = readFileSync(`${ROOT}/README.md`, "utf8");

/** A script of an app with all that it depends on, as the app's bundler makes it. */
async function bundle(script: string, external: (string | RegExp)[] = []) {
  const entry = `${ROOT}/app.ts`;
  const result = await build({
    configFile: false,
    root: ROOT,
    logLevel: "error",
    plugins: [
      {
        name: "app",
        resolveId: (id) => (id === entry ? id : null),
        load: (id) => (id === entry ? script : null),
      },
    ],
    resolve: {
      conditions: ["backhaul-source", "module", "browser", "production"],
      alias: [workerXmlParser],
    },
    define: { "process.env.NODE_ENV": JSON.stringify("production") },
    build: {
      write: false,
      minify: true,
      target: "es2022",
      modulePreload: false,
      rolldownOptions: { input: entry, external, preserveEntrySignatures: "strict" },
    },
  });
  const [first] = [result].flat();
  if (!first || !("output" in first)) throw new Error("nothing was built");
  const [chunk, ...others] = first.output;
  expect(others).toEqual([]);
  return chunk;
}

/** A size in kB that README states. */
function stated(pattern: RegExp): number {
  const figure = README.match(pattern)?.[1];
  if (!figure) throw new Error(`README.md has no ${pattern}`);
  return Number(figure);
}

/** The size of a script as the app's users download it, in kB. */
async function gzippedKb(script: string): Promise<number> {
  const { code, fileName, imports, dynamicImports } = await bundle(script);
  // All of it is there, and nothing is left for a second request.
  expect(code).toMatch(/\bBroadcastChannel\b/);
  expect([...imports, ...dynamicImports].filter((file) => file !== fileName)).toEqual([]);
  return gzipSync(code, { level: 9 }).length / KB;
}

/** README promises an upper bound, which is of use only while the real size is near to it. */
function expectAsStated(kb: number, statedKb: number): void {
  expect(kb, "more than README.md states").toBeLessThanOrEqual(statedKb);
  expect(kb, "README.md states far more").toBeGreaterThanOrEqual(0.9 * statedKb);
}

const PAGE = `import { connectUploads } from "backhaul"; await connectUploads({ worker: "/sw.js" });`;
const WORKER = `import { httpStorage, serveUploads } from "backhaul/sw";
  serveUploads({ storage: httpStorage({ endpoint: "/" }) });`;
const WORKER_WITH_CREDENTIALS = `import { serveUploads } from "backhaul/sw"; import { s3Storage } from "backhaul/sw/s3-storage";
  serveUploads({ storage: s3Storage({ bucket: "b", region: "r", credentials: () => fetch("/").then((r) => r.json()) }) });`;

test("the page's part is as small as README says", { timeout: 60_000 }, async () => {
  expectAsStated(await gzippedKb(PAGE), stated(/\bPage ≤ ([\d.]+) kB/));
});

test("the worker's part is as small as README says", { timeout: 60_000 }, async () => {
  expectAsStated(await gzippedKb(WORKER), stated(/\bworker ≤ ([\d.]+) kB/));
});

test("S3 credentials in the worker add as little as README says", { timeout: 60_000 }, async () => {
  const added = (await gzippedKb(WORKER_WITH_CREDENTIALS)) - (await gzippedKb(WORKER));
  expectAsStated(added, stated(/"backhaul\/sw\/s3-storage"; \/\/ ([\d.]+) kB more/));
});

test("the React binding adds as little as README says", { timeout: 60_000 }, async () => {
  const source = `export * from "backhaul/react";`;
  const { code } = await bundle(source, ["backhaul", /^react/]);
  expect(code).toMatch(/useSyncExternalStore/);
  expectAsStated(gzipSync(code, { level: 9 }).length / KB, stated(/React binding ≤ ([\d.]+) kB/));
});
