// `npm run check`: all that can be said of the code without running it: style, types, imports, sizes, package, docs.
import { installPackages, run } from "./install.mjs";

installPackages();
run("npx", ["biome", "ci", "--error-on-warnings"]);
run("npx", ["tsc", "--build"]);
run("npx", ["vitest", "run", "--project=unit", "test/architecture/"]);
