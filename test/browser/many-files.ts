import { createHash, randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { AddOptions } from "backhaul";
import type { BrowserContext, Page } from "playwright";
import type { BrowserBed } from "./browser-bed.ts";

/** Files on disk, by their names: SHA-256 of their bytes. */
export type ManyFiles = ReadonlyMap<string, string>;

/** Has the page pick so many files of random bytes, from disk as a user would. */
export async function pickManyFiles(
  bed: BrowserBed,
  page: Page,
  count: number,
  size: number,
): Promise<ManyFiles> {
  const folder = join(bed.folder, "many");
  await mkdir(folder);
  const hashes = new Map<string, string>();
  const paths: string[] = [];
  for (let index = 0; index < count; index++) {
    const name = `photo-${index}.jpg`;
    const bytes = randomBytes(size);
    hashes.set(name, createHash("sha256").update(bytes).digest("hex"));
    paths.push(join(folder, name));
    await writeFile(join(folder, name), bytes);
  }
  // One event each would be the browser's own long tasks.
  await page.setInputFiles("input", paths);
  return hashes;
}

/** Adds what the page has picked, in one call. Returns how long that took, in milliseconds. */
export function addPicked(page: Page, options: Omit<AddOptions, "key"> = {}): Promise<number> {
  return page.evaluate(async (options) => {
    const picked = [...(document.querySelector("input")?.files ?? [])];
    const startedAt = performance.now();
    await uploads.addAll(picked.map((file) => ({ ...options, file, key: file.name })));
    return performance.now() - startedAt;
  }, options);
}

/** Waits until so many uploads have ended well. */
export async function untilDone(page: Page, count: number, timeoutMs: number): Promise<void> {
  await page.evaluate(() => {
    uploads.subscribe((list) => {
      const done = list.reduce((sum, { state }) => sum + (state === "done" ? 1 : 0), 0);
      Object.assign(globalThis, { done });
    });
  });
  await page.waitForFunction((count) => (globalThis as unknown as { done: number }).done === count, count, {
    timeout: timeoutMs,
    polling: 500,
  });
}

/** The names of those files that S3 does not hold as they were picked. */
export async function damagedFiles(bed: BrowserBed, files: ManyFiles): Promise<string[]> {
  const damaged: string[] = [];
  const left = [...files];
  const compare = async () => {
    for (let file = left.pop(); file; file = left.pop()) {
      const [name, sha256] = file;
      if ((await bed.sha256(name).catch(String)) !== sha256) damaged.push(name);
    }
  };
  await Promise.all(Array.from({ length: 8 }, compare));
  return damaged;
}

/** Counts the transactions that the worker begins in its database from now on. Returns what tells their number by mode. */
export async function countTransactions(
  context: BrowserContext,
): Promise<() => Promise<{ readonly readonly: number; readonly readwrite: number }>> {
  const [worker] = context.serviceWorkers();
  if (!worker) throw new Error("the worker is not running");
  await worker.evaluate(() => {
    const counts = { readonly: 0, readwrite: 0 };
    const { transaction } = IDBDatabase.prototype;
    IDBDatabase.prototype.transaction = function (stores, mode = "readonly", options) {
      if (mode !== "versionchange") counts[mode] += 1;
      return transaction.call(this, stores, mode, options);
    };
    Object.assign(globalThis, { transactionCounts: counts });
  });
  return () =>
    worker.evaluate(
      () =>
        (globalThis as unknown as { transactionCounts: { readonly: number; readwrite: number } })
          .transactionCounts,
    );
}

/** Records the tasks of the page's main thread that last over 50 ms from now on. Returns what tells their durations. */
export async function watchLongTasks(page: Page): Promise<() => Promise<number[]>> {
  await page.evaluate(() => {
    const tasks: number[] = [];
    Object.assign(globalThis, { longTasks: tasks });
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) tasks.push(duration);
    }).observe({ type: "longtask" });
  });
  return () => page.evaluate(() => (globalThis as unknown as { longTasks: number[] }).longTasks.splice(0));
}
