// `npm run build`: the library and its types, as they are published. It starts from an empty folder, because npm packs all that it
// finds in there.
import { copyFileSync, rmSync } from "node:fs";
import { root, run } from "./install.mjs";

rmSync(`${root}dist`, { recursive: true, force: true });
run("npx", ["--no", "--", "vite", "build", "--logLevel", "warn"]);
run("npx", ["--no", "--", "tsc", "--build"]);
copyFileSync(`${root}bindings/style.css`, `${root}dist/style.css`);
