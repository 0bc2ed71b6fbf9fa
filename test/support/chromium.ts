import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright";

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

export function launchChromium(moreArgs: readonly string[] = []): Promise<Browser> {
  // Chromium's sandbox doesn't start as root, which CI is.
  const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath: chromiumPath(), args: [...args, ...moreArgs] });
}
