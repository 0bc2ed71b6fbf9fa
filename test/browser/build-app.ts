import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import type { BrowserBed } from "./browser-bed.ts";

/** Builds an app into the bed's folder, with a page that runs it. Returns the page's URL. */
export async function buildApp(bed: BrowserBed, name: string, file: string): Promise<string> {
  const outDir = join(bed.folder, "app");
  await build({
    configFile: false,
    logLevel: "warn",
    resolve: { conditions: ["backhaul-source", "module", "browser", "production"] },
    define: { "process.env.NODE_ENV": JSON.stringify("development") },
    build: {
      outDir,
      emptyOutDir: false,
      target: "es2022",
      rollupOptions: {
        onLog(level, log, handle) {
          // React's entry says "use client", which means nothing to a page.
          if (log.code !== "MODULE_LEVEL_DIRECTIVE") handle(level, log);
        },
      },
      lib: {
        entry: fileURLToPath(new URL(`apps/${file}`, import.meta.url)),
        formats: ["es"],
        fileName: () => `${name}.js`,
      },
    },
  });
  const html = `<!doctype html><html lang="en"><meta charset="utf-8" /><title>${name}</title><body><main></main>`;
  await writeFile(join(outDir, `${name}.html`), `${html}<script type="module" src="/${name}.js"></script>`);
  return new URL(`${name}.html`, bed.url).href;
}
