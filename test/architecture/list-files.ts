import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { ROOT } from "./source-files.ts";

const run = promisify(execFile);

/** The repository's files as they stand in the work tree, new ones included, by path from its root. */
export async function listFiles(...patterns: string[]): Promise<string[]> {
  const args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"];
  const { stdout } = await run("git", [...args, "--", ...patterns], { cwd: ROOT });
  return stdout.split("\0").filter((file) => file !== "" && existsSync(join(ROOT, file)));
}
