// `npm run try:adoption`: packs a clean clone, and tries that package in fresh apps, each with a real upload in Chromium.
// `npm run try:adoption -- react next` tries these alone, and `--package FILE` what is packed already.
import { spawnSync } from "node:child_process";
import { installPackages, root } from "./install.mjs";

installPackages();
const args = ["--import", "tsx", "test/adoption/run.ts", ...process.argv.slice(2)];
const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
process.exitCode = status ?? 1;
