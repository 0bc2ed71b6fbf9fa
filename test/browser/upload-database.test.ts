import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import type { JSHandle, Page } from "playwright";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { UploadDatabase } from "../../sw/database/upload-database.ts";
import { uploadDatabaseSuite } from "../conformance/upload-database.ts";
import { writeRandomFile } from "../support/random-file.ts";
import { type DatabasePages, openDatabasePages } from "./database-pages.ts";

const MIB = 1024 * 1024;

let pages: DatabasePages;
let page: Page;

beforeAll(async () => {
  pages = await openDatabasePages();
  page = await pages.open();
});

afterAll(() => pages?.close());

describe("the database in IndexedDB", () => {
  uploadDatabaseSuite(
    (name) => test(name, () => page.evaluate((wanted) => runCase(wanted), name)),
    () => Promise.reject(new Error("each case runs in the page")),
  );
});

describe("copies of large files in IndexedDB", () => {
  const SIZE = 256 * MIB;
  let path: string;

  beforeAll(async () => {
    path = join(pages.folder, "large");
    await writeRandomFile(path, SIZE);
  });

  /** A file on disk, as users pick them: of those that pages make Chromium can hold only so many. */
  async function pick(into: Page): Promise<JSHandle<File>> {
    const input = await into.evaluateHandle(() => {
      const picker = Object.assign(document.createElement("input"), { type: "file" });
      return document.body.appendChild(picker);
    });
    await input.setInputFiles(path);
    return input.evaluateHandle((picker) => picker.files?.[0] as File);
  }

  test("a large file is given back byte for byte", async () => {
    const digests = await page.evaluate(
      async (file) => {
        const database = await openIdbDatabase("equal");
        const large = file.slice(0, 64 * 1024 * 1024 + 1);
        await database.putBytes("a", large);
        const kept = (await database.bytes("a")) as Blob;
        database.close();
        return [await sha256Of(large), await sha256Of(kept)];
      },
      await pick(page),
    );
    expect(digests[1]).toBe(digests[0]);
  });

  test("a copy that is being made holds up neither small writes nor the deletion of another copy", async () => {
    const outcome = await page.evaluate(
      async (file) => {
        const database = await openIdbDatabase("turns");
        await database.putBytes("small", new Blob(["small"]));
        const settled: string[] = [];
        const note = (name: string) => () => settled.push(name);
        const { result } = await beginPut(database, "large", file);
        const large = result.then(note("large"));
        const others = [
          database.deleteBytes(["small"]).then(note("deletion")),
          database.putBytes("other", new Blob(["other"])).then(note("other")),
          database.setOwner("ada").then(note("owner")),
        ];
        const isHidden = (await database.bytes("large")) === undefined;
        await Promise.all([large, ...others]);
        const kept = (await database.bytes("large")) as Blob;
        database.close();
        return { last: settled.at(-1), count: settled.length, isHidden, size: kept.size };
      },
      await pick(page),
    );
    expect(outcome).toEqual({ last: "large", count: 4, isHidden: true, size: SIZE });
  });

  test("a copy can be called off between its pieces, and leaves nothing of itself", async () => {
    const outcome = await page.evaluate(
      async (file) => {
        const database = await openIdbDatabase("called off");
        await database.putBytes("a", new Blob(["before"]));
        const controller = new AbortController();
        const { result: first } = await beginPut(database, "b", file, controller.signal);
        const second = database.putBytes("a", file, controller.signal).catch((error) => error);
        controller.abort("enough");
        const results = [await first, await second];
        const kept = await ((await database.bytes("a")) as Blob).text();
        const ids = await database.bytesIds();
        database.close();
        return { results, kept, ids };
      },
      await pick(page),
    );
    expect(outcome).toEqual({ results: ["enough", "enough"], kept: "before", ids: ["a"] });
  });

  test("a copy whose upload ends meanwhile is given up, and leaves nothing of itself", async () => {
    const outcome = await page.evaluate(
      async (file) => {
        const database = await openIdbDatabase("ended");
        const { result } = await beginPut(database, "a", file);
        await database.deleteBytes(["a"]);
        const { code } = (await result) as { code: string };
        const ids = await database.bytesIds();
        database.close();
        return { code, ids };
      },
      await pick(page),
    );
    expect(outcome).toEqual({ code: "CANCELED", ids: [] });
  });

  test("of two copies for one upload, by two workers, the one begun last is kept, whole", async () => {
    const outcome = await page.evaluate(
      async (file) => {
        const [first, second] = [await openIdbDatabase("twice"), await openIdbDatabase("twice")];
        const { result } = await beginPut(first, "a", file);
        const other = file.slice(100 * 1024 * 1024, 140 * 1024 * 1024);
        await second.putBytes("a", other);
        const { code } = (await result) as { code: string };
        const kept = (await first.bytes("a")) as Blob;
        first.close();
        second.close();
        return { code, isSame: (await sha256Of(kept)) === (await sha256Of(other)) };
      },
      await pick(page),
    );
    expect(outcome).toEqual({ code: "CANCELED", isSame: true });
  });

  test("a copy that a death has broken off is never read, and the next one takes its place", async () => {
    const dying = await pages.open();
    await dying.evaluate(
      async (file) => {
        await beginPut(await openIdbDatabase("death"), "a", file);
      },
      await pick(dying),
    );
    await dying.close();
    const outcome = await page.evaluate(async () => {
      const database = await openIdbDatabase("death");
      const ids = await database.bytesIds();
      const broken = await database.bytes("a");
      await database.putBytes("a", new Blob(["whole"]));
      const whole = await ((await database.bytes("a")) as Blob).text();
      await database.deleteBytes(["a"]);
      const left = await database.bytesIds();
      database.close();
      return { ids, isBroken: broken === undefined, whole, left };
    });
    expect(outcome).toEqual({ ids: ["a"], isBroken: true, whole: "whole", left: [] });
  });

  test("a copy that lacks a piece is not given back", async () => {
    const isMissing = await page.evaluate(
      async (file) => {
        const database = await openIdbDatabase("lacking");
        await database.putBytes("a", file.slice(0, 20 * 1024 * 1024));
        const opening = indexedDB.open("lacking");
        await new Promise((resolve) => {
          opening.onsuccess = resolve;
        });
        const tx = opening.result.transaction("chunks", "readwrite");
        const keys = tx.objectStore("chunks").getAllKeys();
        keys.onsuccess = () => tx.objectStore("chunks").delete(keys.result[1] as IDBValidKey);
        await new Promise((resolve) => {
          tx.oncomplete = resolve;
        });
        opening.result.close();
        const kept = await database.bytes("a");
        database.close();
        return kept === undefined;
      },
      await pick(page),
    );
    expect(isMissing).toBe(true);
  });

  test("a file that changes on disk while it is copied is refused, and leaves nothing of itself", async () => {
    const outcome = await page.evaluateHandle(
      async (file) => {
        const database = await openIdbDatabase("changed");
        const { result } = await beginPut(database, "a", file);
        return { database, result };
      },
      await pick(page),
    );
    await appendFile(path, "more");
    const { code, ids } = await outcome.evaluate(async ({ database, result }) => {
      const { code } = (await result) as { code: string };
      const ids = await database.bytesIds();
      database.close();
      return { code, ids };
    });
    expect({ code, ids }).toEqual({ code: "FILE_CHANGED", ids: [] });
  });
});

describe("a connection that the browser closes", () => {
  test("tells its listener, and refuses what comes from then on in words of its own", async () => {
    const session = await page.context().newCDPSession(page);
    await page.evaluate(async () => {
      const database = await openIdbDatabase("closed");
      const closed = new Promise<void>((resolve) => database.onClosed(resolve));
      Object.assign(globalThis, { database, untilClosed: closed });
    });
    await session.send("Storage.clearDataForOrigin", { origin: pages.origin, storageTypes: "indexeddb" });
    const codes = await page.evaluate(async () => {
      const { database, untilClosed } = globalThis as unknown as {
        database: UploadDatabase;
        untilClosed: Promise<void>;
      };
      await untilClosed;
      const calls = [database.all(), database.setOwner("eve"), database.putBytes("a", new Blob(["a"]))];
      return Promise.all(calls.map((call) => call.then(() => "done").catch((error) => error.code)));
    });
    expect(codes).toEqual(["DATABASE_CLOSED", "DATABASE_CLOSED", "DATABASE_CLOSED"]);
    await page.evaluate(async () => {
      const database = await openIdbDatabase("closed");
      await database.setOwner("ada");
      database.close();
    });
  });
});
