import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runCommand } from "./run-command.ts";

interface Manifest {
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
}

/** Copies an app away from this repository, adds the package to what it depends on, and installs and builds it. Returns its folder. */
export async function installApp(name: string, tarball: string, scratch: string): Promise<string> {
  const folder = join(scratch, name);
  await cp(fileURLToPath(new URL(name, import.meta.url)), folder, { recursive: true });
  const path = join(folder, "package.json");
  const manifest = JSON.parse(await readFile(path, "utf8")) as Manifest;
  const dependencies = { ...manifest.dependencies, backhaul: `file:${tarball}` };
  await writeFile(path, JSON.stringify({ ...manifest, dependencies }));
  await runCommand("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline"], folder);
  if (manifest.scripts.build) await runCommand("npm", ["run", "build"], folder);
  return folder;
}
