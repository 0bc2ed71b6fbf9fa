import { existsSync } from "node:fs";
import { type Browser, type BrowserContext, chromium } from "playwright";

const CANDIDATES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Where the full Chromium is: the one in `CHROMIUM_PATH`, the system's, or the one that Playwright has installed. */
export function chromiumPath(): string {
  const path = process.env.CHROMIUM_PATH ?? CANDIDATES.find(existsSync) ?? chromium.executablePath();
  if (!existsSync(path))
    throw new Error(
      "No Chromium found. Install it (`npx playwright install chromium`), or set CHROMIUM_PATH to one.",
    );
  return path;
}

// Chromium's sandbox doesn't start as root, which CI is.
const ARGS = process.getuid?.() === 0 ? ["--no-sandbox"] : [];

export function launchChromium(args: readonly string[] = []): Promise<Browser> {
  return chromium.launch({ executablePath: chromiumPath(), args: [...ARGS, ...args] });
}

/** With a profile on disk, where `launchChromium` gives windows like private ones, which keep all in memory. */
export function openProfile(folder: string): Promise<BrowserContext> {
  return chromium.launchPersistentContext(folder, { executablePath: chromiumPath(), args: ARGS });
}
