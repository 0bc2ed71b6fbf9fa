import { fileURLToPath } from "node:url";
import { build, type InlineConfig } from "vite";
import { workerXmlParser } from "../../../scripts/worker-xml-parser.ts";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export type TestWorker = "sw.ts" | "s3-sw.ts";

/** Builds the usage page that the browser tests drive, and its worker, into `outDir`. */
export async function buildTestApp(outDir: string, worker: TestWorker = "sw.ts"): Promise<void> {
  const common: InlineConfig = {
    configFile: false,
    root: at("."),
    logLevel: "warn",
    resolve: {
      conditions: ["backhaul-source", "module", "browser", "production"],
      alias: [workerXmlParser],
    },
    define: { "process.env.NODE_ENV": JSON.stringify("production") },
  };
  const input = ["index.html", "bare.html"].map(at);
  await build({
    ...common,
    build: { outDir, emptyOutDir: true, target: "es2022", rolldownOptions: { input } },
  });
  await build({
    ...common,
    build: {
      outDir,
      emptyOutDir: false,
      target: "es2022",
      lib: { entry: at(worker), formats: ["iife"], name: "app", fileName: () => "sw.js" },
    },
  });
}
