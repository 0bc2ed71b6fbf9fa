import { gzipSync } from "node:zlib";
import { build } from "vite";
import { expect, test } from "vitest";
import { workerXmlParser } from "../../scripts/worker-xml-parser.ts";
import { ROOT } from "./source-files.ts";

const KB = 1_000;

/** A script of an app with all that it depends on, as the app's bundler makes it. */
async function bundle(script: string) {
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
      ...{ write: false, minify: true, target: "es2022", modulePreload: false },
      rolldownOptions: { input: entry },
    },
  });
  const [first] = [result].flat();
  if (!first || !("output" in first)) throw new Error("nothing was built");
  const [chunk, ...others] = first.output;
  expect(others).toEqual([]);
  return chunk;
}

test.each([
  ["page", `import { connectUploads } from "backhaul"; await connectUploads({ worker: "/sw.js" });`, 10.0],
  [
    "worker",
    `import { httpStorage, serveUploads } from "backhaul/sw"; serveUploads({ storage: httpStorage({ endpoint: "/" }) });`,
    // Of that, MD5 in WebAssembly is 5.
    32.0,
  ],
  [
    "worker with S3 credentials",
    `import { serveUploads } from "backhaul/sw"; import { s3Storage } from "backhaul/sw/s3-storage";
     serveUploads({ storage: s3Storage({ bucket: "b", region: "r", credentials: () => fetch("/").then((r) => r.json()) }) });`,
    // Nearly all of it is the AWS SDK.
    115.0,
  ],
])("%s: an app's script fits into its budget", { timeout: 60_000 }, async (name, script, budgetKb) => {
  const { code, fileName, imports, dynamicImports } = await bundle(script);
  // All of it is there, and nothing is left for a second request.
  expect(code).toMatch(/\bBroadcastChannel\b/);
  expect([...imports, ...dynamicImports].filter((file) => file !== fileName)).toEqual([]);
  const bytes = gzipSync(code, { level: 9 }).length;
  console.info(
    `${name}: ${(bytes / KB).toFixed(2)} kB gzipped, ${(code.length / KB).toFixed(1)} kB minified`,
  );
  expect(bytes).toBeLessThanOrEqual(budgetKb * KB);
});
