// `npm test`: sets everything up, checks style and types, builds, and runs the tests. `npm test -- --project=unit` and the
// like are passed on to Vitest.
import { installPackages, run } from "./install.mjs";
import { installSystem } from "./install-system.mjs";

installPackages();
installSystem();
run("npx", ["biome", "ci", "--error-on-warnings"]);
run("npx", ["tsc", "--build"]);
run("npx", ["vite", "build", "--logLevel", "warn"]);
const wanted = process.argv.slice(2);
const quick = ["unit", "server", "contract", "browser"].map((name) => `--project=${name}`);
run("npx", ["vitest", "run", ...(wanted.length > 0 ? wanted : quick)]);
