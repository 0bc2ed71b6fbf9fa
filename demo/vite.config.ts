import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const outDir = at("dist");

/** Paths of the built page's files, as a browser asks for them. */
function shell(): string[] {
  const files = readdirSync(outDir, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  const paths = files.map(({ parentPath, name }) => `${parentPath.slice(outDir.length)}/${name}`);
  return ["/", ...paths.filter((path) => path !== "/sw.js")];
}

/** The demo's page and, with `--mode worker`, its service worker: one classic script, which every browser takes. */
export default defineConfig(({ mode }) => ({
  root: at("page"),
  resolve: { conditions: ["backhaul-source", "module", "browser", "production"] },
  build: {
    outDir,
    emptyOutDir: mode !== "worker",
    target: "es2022",
    ...(mode !== "worker" && { rolldownOptions: { input: [at("page/index.html"), at("page/debug.html")] } }),
    ...(mode === "worker" && {
      lib: { entry: at("worker/sw.ts"), formats: ["iife" as const], name: "demo", fileName: () => "sw.js" },
    }),
  },
  define: {
    "process.env.NODE_ENV": JSON.stringify("production"),
    ...(mode === "worker" && { SHELL: JSON.stringify(shell()) }),
  },
}));
