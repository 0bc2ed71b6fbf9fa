// Set-up that the npm scripts do by themselves. Plain Node: it runs before anything is installed.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

/** Runs a command in the project's folder; ends this process if it fails. All output goes to stderr: stdout is for tools. */
export function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2], ...options });
  if (result.error) throw result.error;
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/** Installs the npm packages that package-lock.json names, unless they are there. */
export function installPackages() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    console.error(`Node.js 20.19 or newer is needed; this is ${process.versions.node}.`);
    process.exit(1);
  }
  const wanted = readFileSync(`${root}package-lock.json`);
  // Written last, so it is missing or older after an install that was broken off.
  const marker = `${root}node_modules/.backhaul-lock.json`;
  if (existsSync(marker) && readFileSync(marker).equals(wanted)) return;
  run("npm", ["ci", "--no-audit", "--no-fund"]);
  copyFileSync(`${root}package-lock.json`, marker);
}
