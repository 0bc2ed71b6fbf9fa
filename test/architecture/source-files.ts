import { readdirSync, readFileSync } from "node:fs";
import { relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** The TypeScript files below a folder of the repository, by their paths from its root, with `/`. */
export function sourceFiles(folder: string): { readonly path: string; readonly source: string }[] {
  return readdirSync(`${ROOT}/${folder}`, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.[cm]?tsx?$/.test(entry.name))
    .map((entry) => {
      const file = `${entry.parentPath}/${entry.name}`;
      return { path: relative(ROOT, file).split(sep).join("/"), source: readFileSync(file, "utf8") };
    });
}
