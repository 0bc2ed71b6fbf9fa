import { createHash, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser } from "playwright";
import type { AppBucket } from "./app-store.ts";

/** More than one part. */
const FILE_BYTES = 17 * 2 ** 20;
const NAME = "picked.bin";

/** Picks a file in the app's page, and waits until the app shows it as done, now and after a reload. The bucket must hold its bytes then. */
export async function uploadInBrowser(
  browser: Browser,
  url: string,
  bucket: AppBucket,
  scratch: string,
): Promise<void> {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    const problems: string[] = [];
    page.on("pageerror", (error) => problems.push(String(error)));
    page.on("console", (message) => {
      // Browsers ask for this by themselves.
      if (message.location().url.endsWith("/favicon.ico")) return;
      if (["error", "warning"].includes(message.type())) problems.push(message.text());
    });
    await page.goto(url);
    const bytes = randomBytes(FILE_BYTES);
    const path = join(scratch, NAME);
    await writeFile(path, bytes);
    const done = page.locator("li[data-state=done]", { hasText: NAME });
    try {
      await page.locator("input[type=file]").setInputFiles(path);
      await done.waitFor({ timeout: 60_000 });
      await page.reload();
      await done.waitFor();
    } catch (error) {
      const shown = await page.locator("body").innerText();
      throw new Error(`the page shows "${shown}" and says ${JSON.stringify(problems)}`, { cause: error });
    }
    if (problems.length > 0) throw new Error(problems.join("\n"));
    const digests = await bucket.digests();
    const expected = createHash("sha256").update(bytes).digest("hex");
    if (digests.length !== 1 || digests[0] !== expected)
      throw new Error(`the bucket holds ${JSON.stringify(digests)}, expected one object, ${expected}`);
  } finally {
    await context.close();
  }
}
