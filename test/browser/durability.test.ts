import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import type { AddOptions } from "backhaul";
import type { Page } from "playwright";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { writeRandomFile } from "../support/random-file.ts";
import { partsSentTwice } from "../support/sent-once.ts";
import {
  addRandomFiles,
  type BrowserBed,
  bytesKept,
  finished,
  startBrowserBed,
  workerStopper,
} from "./browser-bed.ts";

const MIB = 1024 * 1024;
const FAST = 100 * MIB;

let bed: BrowserBed;
let page: Page;
beforeEach(async () => {
  bed = await startBrowserBed({ linkBytesPerSecond: 3 * MIB, onDisk: true });
  page = await bed.openPage();
});
afterEach(() => bed?.close());

const seen = (id: string) =>
  page.evaluate((wanted) => {
    const { state, reason, durability, error } = uploads.get(wanted) ?? {};
    return { state, reason, durability, code: error?.code };
  }, id);
const untilState = (id: string, state: string) =>
  page.waitForFunction(([id, state]) => uploads.get(id)?.state === state, [id, state] as const);
const untilSomeParts = (id: string) =>
  page.waitForFunction((id) => (uploads.get(id)?.partsDone ?? 0) > 0, id);

/** Has the page pick a file of random bytes on disk. */
async function pickFile(name: string, size: number) {
  const path = join(bed.folder, name);
  const sha256 = await writeRandomFile(path, size);
  await page.setInputFiles("input", path);
  return { path, sha256 };
}
const addPicked = (options: AddOptions) =>
  page.evaluate(
    (options) => uploads.add(document.querySelector("input")?.files?.[0] as File, options),
    options,
  );

describe("a file added by its handle", () => {
  /** Of the site's own file system, whose handles are like any other but that nobody need allow them. */
  async function addHandle(key: string, size: number) {
    const { sha256 } = await pickFile(key, size);
    const id = await page.evaluate(async (key) => {
      const root = await navigator.storage.getDirectory();
      const handle = await root.getFileHandle(key, { create: true });
      const writable = await handle.createWritable();
      await writable.write(document.querySelector("input")?.files?.[0] as File);
      await writable.close();
      return uploads.add(handle, { key });
    }, key);
    return { id, sha256 };
  }

  test("is read where it is, across the worker's death and a reload", async () => {
    const { id, sha256 } = await addHandle("handle", 40 * MIB);
    expect(await seen(id)).toMatchObject({ durability: "handle" });
    expect(await bytesKept(page)).toEqual([{ id, kind: "FileSystemFileHandle" }]);
    await untilSomeParts(id);
    const deaths = [await (await workerStopper(page))()];
    await page.reload();
    await page.waitForFunction(() => "uploads" in globalThis);
    bed.link.setSpeed(FAST);
    await finished(page, id);
    expect(await bed.sha256("handle")).toBe(sha256);
    expect(partsSentTwice(bed.requests, deaths)).toEqual([]);
    expect(await bytesKept(page)).toEqual([]);
  });

  test("and changed since fails, and says so", async () => {
    const { id } = await addHandle("changed", 40 * MIB);
    await untilSomeParts(id);
    await page.evaluate(async () => {
      const root = await navigator.storage.getDirectory();
      const writable = await (await root.getFileHandle("changed")).createWritable({ keepExistingData: true });
      await writable.write("other bytes");
      await writable.close();
    });
    await untilState(id, "failed");
    expect(await seen(id)).toMatchObject({ code: "FILE_CHANGED" });
  });

  test("and moved away waits for it, and takes it in any form", async () => {
    const { id, sha256 } = await addHandle("moved", 40 * MIB);
    await untilSomeParts(id);
    await page.evaluate(async () => {
      const root = await navigator.storage.getDirectory();
      Object.assign(globalThis, {
        lastModified: (await (await root.getFileHandle("moved")).getFile()).lastModified,
      });
      await root.removeEntry("moved");
    });
    await untilState(id, "waiting");
    expect(await seen(id)).toEqual({
      state: "waiting",
      reason: "file",
      durability: "memory",
      code: "FILE_LOST",
    });
    const code = await page.evaluate(
      (id) => uploads.requestPermission(id).catch((error: { code: string }) => error.code),
      id,
    );
    expect(code).toBe("FILE_LOST");
    bed.link.setSpeed(FAST);
    await page.evaluate(async (id) => {
      const { lastModified } = globalThis as unknown as { lastModified: number };
      const [file] = document.querySelector("input")?.files ?? [];
      await uploads.attach(id, new File([file as File], "moved", { lastModified }));
    }, id);
    await finished(page, id);
    expect(await bed.sha256("moved")).toBe(sha256);
  });
});

test("a file that changes on disk once its copy is kept arrives as it was", async () => {
  const { path, sha256 } = await pickFile("touched", 40 * MIB);
  const id = await addPicked({ key: "touched" });
  expect(await seen(id)).toMatchObject({ durability: "stored" });
  await untilSomeParts(id);
  await appendFile(path, "more");
  bed.link.setSpeed(FAST);
  await finished(page, id);
  expect(await bed.sha256("touched")).toBe(sha256);
  expect(partsSentTwice(bed.requests)).toEqual([]);
});

test("a copy that the browser has dropped: the upload waits for the file, and goes on where it was", async () => {
  const { sha256 } = await pickFile("dropped", 40 * MIB);
  const id = await addPicked({ key: "dropped" });
  await untilSomeParts(id);
  await page.evaluate((id) => uploads.pause(id), id);
  const deaths = [await (await workerStopper(page))()];
  await page.evaluate(async (id) => {
    const [info] = await indexedDB.databases();
    const request = indexedDB.open(info?.name as string);
    await new Promise((resolve) => {
      request.onsuccess = resolve;
    });
    const tx = request.result.transaction("bytes", "readwrite");
    tx.objectStore("bytes").delete(id);
    await new Promise((resolve) => {
      tx.oncomplete = resolve;
    });
    request.result.close();
    await uploads.resume(id);
  }, id);
  await untilState(id, "waiting");
  expect(await seen(id)).toEqual({
    state: "waiting",
    reason: "file",
    durability: "memory",
    code: "FILE_LOST",
  });
  const code = await page.evaluate(
    (id) => uploads.attach(id, new File(["x"], "dropped")).catch((error: { code: string }) => error.code),
    id,
  );
  expect(code).toBe("FILE_MISMATCH");
  bed.link.setSpeed(FAST);
  await page.evaluate((id) => uploads.attach(id, document.querySelector("input")?.files?.[0] as File), id);
  await finished(page, id);
  expect(await bed.sha256("dropped")).toBe(sha256);
  expect(partsSentTwice(bed.requests, deaths)).toEqual([]);
});

describe("where there is no room for a copy", () => {
  beforeEach(async () => {
    const devtools = await page.context().newCDPSession(page);
    const origin = new URL(bed.url).origin;
    await devtools.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 20 * MIB });
    bed.link.setSpeed(FAST);
  });

  test("the file goes from memory, its snapshot says so, and it arrives while the tab is open", async () => {
    const [added] = await addRandomFiles(page, [{ key: "no room", size: 60 * MIB }]);
    const { id, sha256 } = added as { id: string; sha256: string };
    expect(await seen(id)).toMatchObject({ durability: "memory" });
    await finished(page, id);
    expect(await bed.sha256("no room")).toBe(sha256);
  });

  test("other writes of that moment are not lost with the copy", async () => {
    const [added] = await addRandomFiles(page, [
      { key: "small", size: 15 * MIB, partSize: 5 * MIB, priority: 1 },
    ]);
    const { id, sha256 } = added as { id: string; sha256: string };
    await page.evaluate(async (size) => {
      const file = new File([new Uint8Array(size)], "large");
      // One that is sent from memory may be done before it is canceled.
      const unlessDone = (error: { code: string }) => {
        if (error.code !== "STATE_INVALID") throw error;
      };
      for (let round = 0; round < 10; round++) {
        const ids = await uploads.addAll([1, 2, 3].map((each) => ({ file, key: `large/${round}/${each}` })));
        await Promise.all(ids.map((id) => uploads.cancel(id).catch(unlessDone)));
      }
    }, 60 * MIB);
    await finished(page, id);
    expect(await bed.sha256("small")).toBe(sha256);
    const failed = await page.evaluate(() => uploads.list().filter(({ state }) => state === "failed"));
    expect(failed).toEqual([]);
  });

  test("a file that must be durable is refused with all files added with it, and nothing is stored or sent", async () => {
    const code = await addRandomFiles(page, [
      { key: "small", size: MIB, requireDurable: true },
      { key: "large", size: 60 * MIB, requireDurable: true },
      { key: "any", size: MIB },
    ]).catch((error: Error) => /QUOTA_EXCEEDED|no room/.exec(error.message)?.[0]);
    expect(code).toBe("no room");
    expect(await page.evaluate(() => uploads.list())).toEqual([]);
    expect(await bytesKept(page)).toEqual([]);
    // A file that fits is still stored.
    const [added] = await addRandomFiles(page, [{ key: "small", size: MIB, requireDurable: true }]);
    const { id, sha256 } = added as { id: string; sha256: string };
    await finished(page, id);
    expect(await bed.sha256("small")).toBe(sha256);
    expect(bed.requests.filter(({ key }) => key === "large" || key === "any")).toEqual([]);
  });
});

test.each([
  ["once, unless the app has said not to", {}, 1],
  ["and not if it has", { persist: false }, 0],
])("the browser is asked at the first add to keep what is stored, %s", async (_name, options, times) => {
  await bed.context.addInitScript(() => {
    const { persist } = StorageManager.prototype;
    const asked: number[] = [];
    StorageManager.prototype.persist = function () {
      asked.push(uploads.list().length);
      return persist.call(this);
    };
    Object.assign(globalThis, { asked });
  });
  const other = await bed.openPage({}, options);
  for (const key of ["first", "second"]) await addRandomFiles(other, [{ key, size: 1 }]);
  expect(await other.evaluate(() => (globalThis as unknown as { asked: number[] }).asked)).toHaveLength(
    times,
  );
});
