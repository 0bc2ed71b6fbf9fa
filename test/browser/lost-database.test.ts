import { execFileSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { appendFile, mkdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright";
import { afterEach, describe, expect, test } from "vitest";
import { openProfile } from "../support/chromium.ts";
import { addRandomFiles, type BrowserBed, finished, startBrowserBed } from "./browser-bed.ts";

const MIB = 1024 * 1024;
const FAST = 100 * MIB;

let bed: BrowserBed;
afterEach(() => bed?.close());

async function addOne(page: Page, key: string, size: number) {
  const [added] = await addRandomFiles(page, [{ key, size }]);
  return added as { id: string; sha256: string };
}
const untilSomeParts = (page: Page, id: string) =>
  page.waitForFunction((id) => (uploads.get(id)?.partsDone ?? 0) > 0, id);

/** "done", or the code of what its `finished()` rejects with. */
function endOf(page: Page, id: string): Promise<string> {
  return page.evaluate(
    (id) =>
      uploads.finished(id).then(
        () => "done",
        (error: { code: string }) => error.code,
      ),
    id,
  );
}

/** As many an app does when its user signs out. */
async function deleteAllDatabases(page: Page): Promise<void> {
  await page.evaluate(async () => {
    for (const { name } of await indexedDB.databases())
      await new Promise((resolve, reject) => {
        const request = indexedDB.deleteDatabase(name as string);
        request.onsuccess = resolve;
        request.onerror = reject;
      });
  });
}

/** The browser closes every connection by force first. */
async function clearSiteData(page: Page): Promise<void> {
  const devtools = await page.context().newCDPSession(page);
  const { origin } = new URL(page.url());
  await devtools.send("Storage.clearDataForOrigin", { origin, storageTypes: "indexeddb" });
}

describe.each([
  ["that the app deletes", deleteAllDatabases],
  ["that the browser closes by force and clears", clearSiteData],
])("A database %s", (_name, lose) => {
  test("is made anew: the next add works, here and in a new tab, and nothing is left of what was", async () => {
    bed = await startBrowserBed({ linkBytesPerSecond: 3 * MIB, onDisk: true });
    const page = await bed.openPage();
    const running = await addOne(page, "running", 60 * MIB);
    await untilSomeParts(page, running.id);

    await lose(page);
    const next = await addOne(page, "next", MIB);
    const other = await bed.openPage();
    const inOther = await addOne(other, "in a new tab", MIB);
    bed.link.setSpeed(FAST);
    for (const [key, { id, sha256 }] of Object.entries({ next, "in a new tab": inOther })) {
      expect(await finished(page, id)).toMatchObject({ key });
      expect(await bed.sha256(key)).toBe(sha256);
    }
    for (const each of [page, other])
      expect(await each.evaluate(() => uploads.list().map(({ key }) => key))).toEqual([
        "next",
        "in a new tab",
      ]);
  });

  test("is noticed by a page that calls nothing: whoever waits for an upload is told that it is gone", async () => {
    bed = await startBrowserBed({ linkBytesPerSecond: 3 * MIB, onDisk: true });
    const page = await bed.openPage();
    const running = await addOne(page, "running", 60 * MIB);
    const end = endOf(page, running.id);
    await untilSomeParts(page, running.id);
    await lose(page);
    expect(await end).toBe("UPLOAD_NOT_FOUND");
    expect(await page.evaluate(() => uploads.list())).toEqual([]);
  });
});

// Chromium then fails to write its own databases, deletes them, and with them the worker's registration.
test.skipIf(!canMount())(
  "After a disk was full to the last byte the next add on the same page works, and what was running has ended or is said to be gone",
  async () => {
    bed = await startBrowserBed({ linkBytesPerSecond: 3 * MIB });
    const disk = join(bed.folder, "disk");
    await mkdir(disk);
    mount(disk, "300m");
    const context = await openProfile(join(disk, "profile"));
    try {
      const page = await context.newPage();
      await page.goto(bed.url);
      await page.waitForFunction(() => "uploads" in globalThis);
      const running = await addOne(page, "running", 60 * MIB);
      const end = endOf(page, running.id);
      await untilSomeParts(page, running.id);
      const filler = join(disk, "filler");
      await fill(filler);
      bed.link.setSpeed(FAST);
      expect(["done", "UPLOAD_NOT_FOUND"]).toContain(await end);
      await rm(filler);

      const next = await addOne(page, "next", MIB);
      expect(await page.evaluate((id) => uploads.get(id)?.durability, next.id)).toBe("stored");
      expect(await finished(page, next.id)).toMatchObject({ key: "next" });
      expect(await bed.sha256("next")).toBe(next.sha256);
    } finally {
      await context.close();
      execFileSync("umount", [disk]);
    }
  },
);

/** Writes until there is no room left. */
async function fill(filler: string): Promise<void> {
  const chunk = Buffer.alloc(MIB);
  await expect(
    (async () => {
      for (;;) await appendFile(filler, chunk);
    })(),
  ).rejects.toMatchObject({ code: "ENOSPC" });
}

function mount(folder: string, size: string): void {
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "backhaul-test", folder], { stdio: "pipe" });
}

function canMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), "backhaul-disk-"));
  try {
    mount(folder, "1m");
    execFileSync("umount", [folder]);
    return true;
  } catch {
    return false;
  } finally {
    rmdirSync(folder);
  }
}
