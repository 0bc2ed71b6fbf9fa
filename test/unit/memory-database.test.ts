import { describe, expect, test } from "vitest";
import { MemoryDisk, openMemoryDatabase } from "../../sw/database/memory-database.ts";
import { type DatabaseBed, uploadDatabaseSuite } from "../conformance/upload-database.ts";

describe("the database in memory", () => {
  uploadDatabaseSuite(test, async () => {
    const disk = new MemoryDisk();
    const bed: DatabaseBed = {
      now: 1_000,
      open: () => openMemoryDatabase(disk, { now: () => bed.now }),
      plantUnreadable: async (id) => void disk.unreadableIds.add(id),
      deleteDatabase: async () => disk.erase(),
      close: async () => {},
    };
    return bed;
  });

  test("refuses a copy for which the disk has no room, beside what is kept already", async () => {
    const disk = new MemoryDisk();
    disk.capacityBytes = 10;
    const database = await openMemoryDatabase(disk, { now: () => 1_000 });
    await database.putBytes("a", new Blob(["12345678"]));
    await expect(database.putBytes("b", new Blob(["123"]))).rejects.toMatchObject({ code: "QUOTA_EXCEEDED" });
    expect(await database.bytesIds()).toEqual(["a"]);
    await database.deleteBytes(["a"]);
    await database.putBytes("b", new Blob(["123"]));
  });
});
