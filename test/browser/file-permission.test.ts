import { join } from "node:path";
import type { Page } from "playwright";
import { afterEach, expect, test } from "vitest";
import { openProfile } from "../support/chromium.ts";
import { writeRandomFile } from "../support/random-file.ts";
import { partsSentTwice } from "../support/sent-once.ts";
import { type BrowserBed, finished, startBrowserBed } from "./browser-bed.ts";

const MIB = 1024 * 1024;

let bed: BrowserBed | undefined;
afterEach(() => bed?.close());

test("a file on disk that the restarted browser may not read any more: the upload waits until the user allows it again", async () => {
  const started = await startBrowserBed({ linkBytesPerSecond: 4 * MIB, onDisk: true });
  bed = started;
  const path = join(started.folder, "picked");
  const sha256 = await writeRandomFile(path, 40 * MIB);
  const page = await started.openPage();
  await dropFile(page, path);
  const id = await page.evaluate(async () => uploads.add(await globalThis.dropped, { key: "picked" }));
  await page.waitForFunction((id) => (uploads.get(id)?.partsDone ?? 0) > 0, id);
  // Chromium takes its time to quit, in which the upload would come to its end.
  const orderedAt = Date.now();
  started.link.cut();
  await started.context.close();
  started.link.mend();
  const deaths = [{ orderedAt, confirmedAt: Date.now() }];

  const context = await openProfile(join(started.folder, "profile"));
  try {
    const later = await context.newPage();
    await later.goto(page.url());
    await later.waitForFunction((id) => globalThis.uploads?.get(id)?.state === "waiting", id);
    const seen = await later.evaluate((id) => {
      const { reason, durability, error } = uploads.get(id) ?? {};
      return { reason, durability, code: error?.code };
    }, id);
    expect(seen).toEqual({ reason: "file", durability: "handle", code: "FILE_PERMISSION" });

    started.link.setSpeed(100 * MIB);
    // No script can answer the browser's question; but who drops a file lets it be read, by whatever handle.
    await dropFile(later, path);
    await later.evaluate((id) => uploads.requestPermission(id), id);
    await finished(later, id);
    expect(await started.sha256("picked")).toBe(sha256);
    expect(partsSentTwice(started.requests, deaths)).toEqual([]);
  } finally {
    await context.close();
  }
});

declare global {
  var dropped: Promise<FileSystemFileHandle>;
}

/** Drags a file from outside onto the page, which then has its handle. */
async function dropFile(page: Page, path: string): Promise<void> {
  await page.evaluate(() => {
    type Item = DataTransferItem & { getAsFileSystemHandle(): Promise<FileSystemFileHandle> };
    globalThis.dropped = new Promise((resolve) => {
      document.documentElement.style.height = "100%";
      addEventListener("dragover", (event) => event.preventDefault());
      addEventListener("drop", (event) => {
        event.preventDefault();
        const [item] = event.dataTransfer?.items ?? [];
        resolve((item as Item).getAsFileSystemHandle());
      });
    });
  });
  const devtools = await page.context().newCDPSession(page);
  const data = { items: [], files: [path], dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"] as const)
    await devtools.send("Input.dispatchDragEvent", { type, x: 100, y: 100, data });
  await page.evaluate(async () => void (await globalThis.dropped));
}
