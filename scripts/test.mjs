// `npm test`: sets everything up, checks style and types, builds, and runs the tests. `npm test -- --project=unit` and the
// like are passed on to Vitest.
import { run } from "./install.mjs";

run(process.execPath, ["scripts/setup.mjs"]);
run("npx", ["biome", "ci", "--error-on-warnings"]);
run(process.execPath, ["scripts/build.mjs"]);
const wanted = process.argv.slice(2);
const quick = ["unit", "simulation", "server", "contract", "browser"].map((name) => `--project=${name}`);
run("npx", ["vitest", "run", ...(wanted.length > 0 ? wanted : quick)]);
