import { beforeEach, describe, expect, test, vi } from "vitest";
import { UploadError } from "../../src/core/errors.ts";
import { MemoryDisk, openMemoryDatabase } from "../../sw/database/memory-database.ts";
import type { UploadDatabase } from "../../sw/database/upload-database.ts";
import { type FileHolder, openBytes, openSource, withBytes } from "../../sw/files/sources.ts";
import type { UploadRecord } from "../../sw/model/record.ts";
import { FileHandle } from "../support/file-handle.ts";
import { ID, records } from "./records.ts";

const file = new File(["hello"], "a.txt", { lastModified: 77 });
const plan = { size: 5, partSize: 5, partCount: 1 };
const record: UploadRecord = { ...records.uploading, plan, lastModified: 77 };
const refused = new DOMException("not now", "NotAllowedError");
const missing = new DOMException("no such file", "NotFoundError");

let database: UploadDatabase;
beforeEach(async () => {
  database = await openMemoryDatabase(new MemoryDisk(), { now: () => 0 });
});

describe("a source", () => {
  test("that is a Blob is opened already", async () => {
    expect(await openSource(file)).toBe(file);
  });

  test("that is a handle gives the file on disk", async () => {
    expect(await openSource(new FileHandle(file))).toBe(file);
  });

  test.each([
    ["needs the user's permission", refused, "FILE_PERMISSION"],
    ["leads to a file that is gone", missing, "FILE_LOST"],
    ["fails in a way that is not known", new TypeError("what?"), "FILE_LOST"],
  ])("that is a handle which %s can't be opened, and the cause is told", async (_what, cause, code) => {
    const opened = openSource(new FileHandle(cause));
    await expect(opened).rejects.toMatchObject({ name: "UploadError", code, cause });
  });
});

describe("what is kept of an upload", () => {
  test("is its copy", async () => {
    await database.putBytes(ID, file);
    expect(await openBytes(database, record)).toBe(file);
  });

  test("is the file behind its handle, as long as that is the file that was picked", async () => {
    await database.putBytes(ID, new FileHandle(file));
    expect(await openBytes(database, record)).toBe(file);
  });

  test.each([
    ["another size", new File(["hello!"], "a.txt", { lastModified: 77 })],
    ["another date", new File(["HELLO"], "a.txt", { lastModified: 78 })],
  ])("is of no use where the file behind its handle has %s", async (_what, changed) => {
    await database.putBytes(ID, new FileHandle(changed));
    await expect(openBytes(database, record)).rejects.toMatchObject({ code: "FILE_CHANGED" });
  });

  test("is lost where nothing is stored", async () => {
    await expect(openBytes(database, record)).rejects.toMatchObject({ code: "FILE_LOST" });
  });
});

describe("the bytes of an upload", () => {
  const upload = (durability: UploadRecord["durability"], bytes?: Blob): FileHolder => ({
    id: ID,
    record: { ...record, durability },
    bytes,
  });
  const lost = new UploadError("FILE_LOST");

  test("that are at hand are used without asking the database", async () => {
    const asked = vi.spyOn(database, "bytes");
    expect(await withBytes(upload("stored", file), database, (bytes) => bytes.text())).toBe("hello");
    expect(asked).not.toHaveBeenCalled();
  });

  test("are opened once, and stay at hand", async () => {
    const handle = new FileHandle(file);
    await database.putBytes(ID, handle);
    const holder = upload("handle");
    for (const _turn of [1, 2]) await withBytes(holder, database, (bytes) => bytes.text());
    expect(holder.bytes).toBe(file);
    expect(handle.opened).toBe(1);
  });

  test.each(["FILE_LOST", "FILE_CHANGED"] as const)(
    "that turn out to be unreadable (%s) are replaced by what was kept meanwhile",
    async (code) => {
      await database.putBytes(ID, new Blob(["the copy"]));
      const holder = upload("stored", file);
      const use = vi.fn(async (bytes: Blob) => {
        if (bytes === file) throw new UploadError(code);
        return bytes.text();
      });
      expect(await withBytes(holder, database, use)).toBe("the copy");
      expect(use).toHaveBeenCalledTimes(2);
      expect(holder.bytes).not.toBe(file);
    },
  );

  test("that are unreadable a second time are given up", async () => {
    await database.putBytes(ID, file);
    const use = vi.fn(() => Promise.reject(lost));
    await expect(withBytes(upload("stored", file), database, use)).rejects.toBe(lost);
    expect(use).toHaveBeenCalledTimes(2);
  });

  test("of which nothing is kept are given up at once", async () => {
    await database.putBytes(ID, file);
    const use = vi.fn(() => Promise.reject(lost));
    await expect(withBytes(upload("memory", file), database, use)).rejects.toBe(lost);
    expect(use).toHaveBeenCalledTimes(1);
  });

  test("whose file has changed on disk say so, whatever the reader has made of it", async () => {
    await database.putBytes(ID, new FileHandle(new File(["other"], "a.txt", { lastModified: 99 })));
    const used = withBytes(upload("handle", file), database, () => Promise.reject(lost));
    await expect(used).rejects.toMatchObject({ code: "FILE_CHANGED" });
  });

  test.each([
    ["an error that is not the file's", new UploadError("CHECKSUM_UNAVAILABLE")],
    ["an error of somebody else", new TypeError("broken")],
    ["the user's refusal", new UploadError("FILE_PERMISSION")],
  ])("are not read again after %s", async (_what, error) => {
    await database.putBytes(ID, file);
    const use = vi.fn(() => Promise.reject(error));
    await expect(withBytes(upload("stored", file), database, use)).rejects.toBe(error);
    expect(use).toHaveBeenCalledTimes(1);
  });
});
