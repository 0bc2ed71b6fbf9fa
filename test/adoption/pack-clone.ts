import { join } from "node:path";
import { runCommand } from "./run-command.ts";

/** Packs what is committed, as a stranger would who has cloned it. Returns the package's path. */
export async function packClone(repository: string, scratch: string): Promise<string> {
  const clone = join(scratch, "clone");
  await runCommand("git", ["clone", "--quiet", "--depth", "1", `file://${repository}`, clone], scratch);
  await runCommand("npm", ["ci", "--no-audit", "--no-fund", "--prefer-offline"], clone);
  const printed = await runCommand("npm", ["pack", "--json", "--pack-destination", scratch], clone);
  const [packed] = Object.values(JSON.parse(printed) as Record<string, { readonly filename: string }>);
  if (!packed) throw new Error(`npm pack made nothing: ${printed}`);
  return join(scratch, packed.filename);
}
