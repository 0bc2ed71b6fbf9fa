import { gzipSync } from "node:zlib";
import { build } from "vite";
import { expect, test } from "vitest";
import { ROOT } from "./source-files.ts";

const KB = 1_000;

/** An entry with all that it depends on, as an app's bundler makes it of a page that uses everything. */
async function bundle(entry: string): Promise<string> {
  const result = await build({
    configFile: false,
    root: ROOT,
    logLevel: "error",
    resolve: { conditions: ["backhaul-source", "module", "browser", "production"] },
    define: { "process.env.NODE_ENV": JSON.stringify("production") },
    build: {
      ...{ write: false, minify: true, target: "es2022", modulePreload: false },
      rolldownOptions: { input: `${ROOT}/${entry}`, preserveEntrySignatures: "strict" },
    },
  });
  const [first] = [result].flat();
  if (!first || !("output" in first)) throw new Error("nothing was built");
  const [chunk, ...others] = first.output;
  expect(others).toEqual([]);
  return chunk.code;
}

test.each([
  ["page", "src/index.ts", "connectUploads", 9.0],
  ["worker", "sw/index.ts", "serveUploads", 20.0],
])("%s: %s fits into its budget", { timeout: 60_000 }, async (name, entry, anExport, budgetKb) => {
  const code = await bundle(entry);
  // All of it is there, and nothing is left for a second request.
  expect(code).toMatch(new RegExp(`\\b${anExport}\\b`));
  expect(code).not.toMatch(/\bimport\s*[("'{*]/);
  const bytes = gzipSync(code, { level: 9 }).length;
  console.info(
    `${name}: ${(bytes / KB).toFixed(2)} kB gzipped, ${(code.length / KB).toFixed(1)} kB minified`,
  );
  expect(bytes).toBeLessThanOrEqual(budgetKb * KB);
});
