/** Packs a clean clone of HEAD, and tries that package alone in fresh apps. Prints a line for each, and "N passed, N failed". */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { inspect, parseArgs } from "node:util";
import { launchChromium } from "../support/chromium.ts";
import { startAppStore } from "./app-store.ts";
import { installApp } from "./install-app.ts";
import { packClone } from "./pack-clone.ts";
import { runCommand } from "./run-command.ts";
import { serveApp } from "./serve-app.ts";
import { uploadInBrowser } from "./upload-in-browser.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folders = await readdir(fileURLToPath(new URL(".", import.meta.url)), { withFileTypes: true });
const apps = folders.filter((each) => each.isDirectory() && each.name !== "server").map(({ name }) => name);
const { values, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: { package: { type: "string" } },
});
const unknown = wanted.filter((name) => !apps.includes(name));
if (unknown.length > 0) throw new Error(`no such app: ${unknown.join(", ")}; there are ${apps.join(", ")}`);

const scratch = await mkdtemp(join(tmpdir(), "backhaul-adoption-"));
const counts = { passed: 0, failed: 0 };

async function attempt(name: string, work: () => Promise<unknown>): Promise<void> {
  const startedAt = Date.now();
  const problem = await work().then(
    () => undefined,
    (error: unknown) => inspect(error, { depth: 5 }),
  );
  counts[problem === undefined ? "passed" : "failed"]++;
  const seconds = Math.round((Date.now() - startedAt) / 1_000);
  console.log(`${problem === undefined ? "passed" : "FAILED"} ${name} (${seconds} s)`);
  if (problem !== undefined) console.log(problem.replaceAll(/^/gm, "  "));
}

try {
  const tarball = values.package ? resolve(values.package) : await packClone(root, scratch);
  if (wanted.length === 0) {
    await attempt("publint", () => runCommand("npx", ["--no", "publint", "--strict", tarball], root));
    await attempt("arethetypeswrong", () =>
      runCommand(
        "npx",
        // Styles and standalone files have no types.
        [
          ...["--no", "attw", tarball, "--profile", "esm-only"],
          ...["--exclude-entrypoints", "style.css", "standalone/backhaul.js", "standalone/backhaul-sw.js"],
        ],
        root,
      ),
    );
  }
  const server = await installApp("server", tarball, scratch);
  const store = await startAppStore(join(scratch, "store"));
  const browser = await launchChromium();
  for (const name of wanted.length > 0 ? wanted : apps)
    await attempt(name, async () => {
      const folder = await installApp(name, tarball, scratch);
      const bucket = await store.createBucket(name);
      const app = await serveApp(folder, server, bucket.environment);
      try {
        await bucket.allowOrigin(new URL(app.url).origin);
        await uploadInBrowser(browser, app.url, bucket, scratch);
      } catch (error) {
        throw new Error(`${name} failed; its server printed:\n${app.output()}`, { cause: error });
      } finally {
        await app.close();
        await rm(folder, { recursive: true, force: true });
      }
    });
  await browser.close();
  await store.close();
} finally {
  await rm(scratch, { recursive: true, force: true });
}
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;
