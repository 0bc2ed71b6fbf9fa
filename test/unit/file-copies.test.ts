import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { UploadError } from "../../src/core/errors.ts";
import { MemoryDisk, openMemoryDatabase } from "../../sw/database/memory-database.ts";
import type { UploadDatabase } from "../../sw/database/upload-database.ts";
import { FileCopies } from "../../sw/files/file-copies.ts";
import type { FileHolder } from "../../sw/files/sources.ts";
import type { UploadRecord, Waiting } from "../../sw/model/record.ts";
import type { UploadEvent } from "../../sw/model/transition.ts";
import { FileHandle } from "../support/file-handle.ts";
import { settlementOf } from "../support/settlement.ts";
import { VirtualTime } from "../support/virtual-time.ts";
import { ID, records } from "./records.ts";

const IDS = [ID, "0f0e0d0c-0b0a-4908-8706-050403020100", "11111111-2222-4333-8444-555555555555"] as const;
const file = new File(["hello"], "a.txt", { lastModified: 77 });
/** So large that no other is copied beside it. */
const large = new File([new Uint8Array(8 * 1024 * 1024)], "large", { lastModified: 77 });
const facts = {
  plan: { size: 5, partSize: 5, partCount: 1 },
  lastModified: 77,
  durability: "memory",
} as const;
const waitingForFile: Waiting = { ...records.waiting, ...facts, reason: "file", nextAttemptAt: null };

interface Upload extends FileHolder {
  record: UploadRecord;
}

let time: VirtualTime;
let disk: MemoryDisk;
let database: UploadDatabase;
let platform: { storageEstimate(): Promise<{ quota?: number; usage?: number }> };
let estimate: { quota?: number; usage?: number };
let uploads: Map<string, Upload>;
let events: UploadEvent[];
let settledCopies: number;
let failures: unknown[];
let copies: FileCopies<Upload>;
let warned: ReturnType<typeof vi.spyOn>;

beforeEach(async () => {
  time = new VirtualTime();
  disk = new MemoryDisk();
  database = await openMemoryDatabase(disk, { now: () => 0 });
  estimate = {};
  platform = { storageEstimate: async () => estimate };
  uploads = new Map();
  events = [];
  settledCopies = 0;
  failures = [];
  warned = vi.spyOn(console, "warn").mockImplementation(() => {});
  copies = new FileCopies<Upload>({
    database,
    platform,
    find: (id) => uploads.get(id),
    isStored: (id) => uploads.has(id) || disk.unreadableIds.has(id),
    apply,
    onSettled: () => {
      settledCopies += 1;
    },
    onFailure: (error) => failures.push(error),
  });
});
afterEach(() => warned.mockRestore());

async function apply(upload: Upload, event: UploadEvent): Promise<void> {
  events.push(event);
  const [applied] = await database.apply([{ id: upload.id, event }]);
  if (applied?.record) upload.record = applied.record;
  if (applied?.effects.includes("deleteBytes")) await database.deleteBytes([upload.id]);
}

/** Adds uploads, in order, with these states. */
async function add(...added: UploadRecord[]): Promise<Upload[]> {
  const withIds = added.map((record, index) => ({
    ...record,
    ...facts,
    id: IDS[index] ?? crypto.randomUUID(),
  }));
  await database.add(withIds);
  return withIds.map((record) => {
    const upload: Upload = { id: record.id, record, bytes: undefined };
    uploads.set(upload.id, upload);
    return upload;
  });
}

/** Lets `putBytes` rest for a second each time, as large files do. */
function slowCopies() {
  const put = database.putBytes.bind(database);
  const begun: string[] = [];
  vi.spyOn(database, "putBytes").mockImplementation(async (id, source) => {
    begun.push(id);
    await time.sleep(1_000);
    await put(id, source);
  });
  return begun;
}

describe("an accepted file", () => {
  test("can be read at once, and is read from its copy once that is there", async () => {
    slowCopies();
    const [upload] = (await add(records.queued)) as [Upload];
    copies.accept(upload, file, file);
    expect(upload.bytes).toBe(file);
    expect(copies.isBusy).toBe(true);
    const settled = settlementOf(copies.settled(ID));
    await time.runUntil(999);
    expect([settled.state, upload.record.durability, settledCopies]).toEqual(["pending", "memory", 0]);
    await time.runUntil(1_000);
    expect([settled.state, upload.record.durability, settledCopies]).toEqual(["fulfilled", "stored", 1]);
    // Whoever needs them next opens the copy.
    expect(upload.bytes).toBeUndefined();
    expect(await database.bytes(ID)).toBe(file);
    expect(copies.isBusy).toBe(false);
  });

  test("whose database is closed over its copy is not taken for one that was kept", async () => {
    slowCopies();
    const [upload] = (await add(records.queued)) as [Upload];
    copies.accept(upload, file, file);
    const settled = settlementOf(copies.settled(ID));
    disk.disconnect();
    await time.runUntil(1_000);
    expect(settled).toMatchObject({ state: "rejected", error: { code: "DATABASE_CLOSED" } });
    expect(failures).toMatchObject([{ code: "DATABASE_CLOSED" }]);
    expect(copies.isBusy).toBe(false);
  });

  test("that came as a handle is kept as one, and read from what is open already", async () => {
    const [upload] = (await add(records.queued)) as [Upload];
    const handle = new FileHandle(file);
    copies.accept(upload, handle, file);
    await copies.settled(ID);
    expect(upload.record.durability).toBe("handle");
    expect(upload.bytes).toBe(file);
    expect(await database.bytes(ID)).toBe(handle);
    expect(handle.opened).toBe(0);
  });

  test("is copied beside the small ones before it, 1,024 at the most", async () => {
    const begun = slowCopies();
    const all = await add(...Array.from({ length: 1_100 }, () => records.queued));
    for (const upload of all) copies.accept(upload, file, file);
    await time.runUntil(500);
    expect(begun).toEqual(all.slice(0, 1_024).map(({ id }) => id));
    await time.runUntil(2_000);
    expect(all.filter(({ record }) => record.durability === "stored")).toHaveLength(1_100);
  });

  test("has the browser asked for its room once with all that are copied at the same time", async () => {
    let asked = 0;
    platform.storageEstimate = async () => {
      asked += 1;
      return estimate;
    };
    const all = await add(...Array.from({ length: 32 }, () => records.queued));
    for (const upload of all) copies.accept(upload, file, file);
    await Promise.all(all.map(({ id }) => copies.settled(id)));
    expect(asked).toBe(1);
  });

  test("that is large is copied after those before it: one at a time, in their order", async () => {
    const begun = slowCopies();
    const all = await add(records.queued, records.queued, records.queued);
    for (const upload of all) copies.accept(upload, large, large);
    await time.runUntil(500);
    expect(begun).toEqual(IDS.slice(0, 1));
    await time.runUntil(1_500);
    expect(begun).toEqual(IDS.slice(0, 2));
    await time.runUntil(3_000);
    expect(begun).toEqual(IDS);
    expect(all.map(({ record }) => record.durability)).toEqual(["stored", "stored", "stored"]);
    expect(settledCopies).toBe(3);
  });

  test("is not copied a second time while the first copy is under way", async () => {
    const begun = slowCopies();
    const [upload] = (await add(records.queued)) as [Upload];
    copies.accept(upload, file, file);
    copies.accept(upload, new File(["other"], "b"), new File(["other"], "b"));
    await time.runUntil(5_000);
    expect(begun).toEqual([ID]);
    expect(await (await database.bytes(ID)).text()).toBe("hello");
  });

  test.each([records.done, records.failed, records.canceled])(
    "is of no use to an upload that is $state",
    async (record) => {
      const [upload] = (await add(record)) as [Upload];
      copies.accept(upload, file, file);
      expect(upload.bytes).toBeUndefined();
      expect(copies.isBusy).toBe(false);
      await time.settle();
      expect(await database.bytesIds()).toEqual([]);
    },
  );

  test("wakes an upload that waits for its file, before it is copied", async () => {
    slowCopies();
    const [upload] = (await add(waitingForFile)) as [Upload];
    copies.accept(upload, file, file);
    await time.settle();
    expect(upload.record.state).toBe("uploading");
    expect(events).toEqual([{ type: "wake" }]);
  });

  test("does not wake an upload that waits for something else", async () => {
    const [upload] = (await add(records.waiting)) as [Upload];
    copies.accept(upload, file, file);
    await copies.settled(ID);
    expect(upload.record).toMatchObject({ state: "waiting", durability: "stored" });
  });

  test("is not copied if its upload was canceled before its turn came", async () => {
    const begun = slowCopies();
    const [first, second] = (await add(records.queued, records.queued)) as [Upload, Upload];
    copies.accept(first, large, large);
    copies.accept(second, file, file);
    await apply(second, { type: "cancel" });
    await time.runUntil(5_000);
    expect(begun).toEqual([first.id]);
    expect(copies.isBusy).toBe(false);
  });

  test("whose upload was canceled during the copy leaves no bytes behind", async () => {
    slowCopies();
    const [upload] = (await add(records.queued)) as [Upload];
    copies.accept(upload, file, file);
    await time.runUntil(500);
    await apply(upload, { type: "cancel" });
    await time.runUntil(5_000);
    expect(await database.bytesIds()).toEqual([]);
    expect(upload.record).toMatchObject({ state: "canceled" });
    expect(events).toEqual([{ type: "cancel" }]);
  });
});

describe("a file that can't be copied", () => {
  test.each([
    ["the browser says that there is no room", { quota: 10, usage: 6 }, 10],
    ["the disk turns out to be full", {}, 4],
  ])("is sent from memory where %s, and the next one is copied", async (_why, told, capacityBytes) => {
    estimate = told;
    disk.capacityBytes = capacityBytes;
    const [upload, next] = (await add(records.queued, records.queued)) as [Upload, Upload];
    copies.accept(upload, file, file);
    copies.accept(next, new FileHandle(file), file);
    await copies.settled(ID);
    expect(upload).toMatchObject({ bytes: file, record: { state: "queued", durability: "memory" } });
    expect(warned).toHaveBeenCalledOnce();
    await copies.settled(next.id);
    expect(next.record.durability).toBe("handle");
    expect(settledCopies).toBe(2);
  });

  test("since it was changed ends its upload", async () => {
    const [upload] = (await add(records.queued)) as [Upload];
    vi.spyOn(database, "putBytes").mockRejectedValueOnce(new UploadError("FILE_CHANGED", "read"));
    copies.accept(upload, file, file);
    await copies.settled(ID);
    expect(upload.record).toMatchObject({ state: "failed", error: { code: "FILE_CHANGED", detail: "read" } });
  });
});

test("a copy of which nothing can be noted does not keep the next one from its turn", async () => {
  const [upload, next] = (await add(records.queued, records.queued)) as [Upload, Upload];
  vi.spyOn(database, "putBytes").mockRejectedValueOnce(new UploadError("FILE_CHANGED"));
  vi.spyOn(database, "apply").mockRejectedValueOnce(new UploadError("DATABASE_UNAVAILABLE"));
  copies.accept(upload, file, file);
  copies.accept(next, file, file);
  await Promise.all([copies.settled(upload.id), copies.settled(next.id)]);
  expect(next.record.durability).toBe("stored");
  expect([copies.isBusy, settledCopies]).toEqual([false, 2]);
});

describe("files that must be durable", () => {
  const wanted = IDS.slice(0, 2).map((id) => ({ record: { ...records.queued, ...facts, id }, source: file }));

  test("are kept before their uploads are added", async () => {
    const keptAtAdd: string[] = [];
    await copies.keepFirst(wanted, async () => void keptAtAdd.push(...(await database.bytesIds())));
    expect(keptAtAdd).toEqual(wanted.map(({ record }) => record.id));
  });

  test.each([
    ["there is no room for all of them, and none is begun", { quota: 9, usage: 0 }, 100],
    ["the disk is full after the first", {}, 7],
  ])("are refused together where %s", async (_why, told, capacityBytes) => {
    estimate = told;
    disk.capacityBytes = capacityBytes;
    const added = vi.fn(async () => {});
    await expect(copies.keepFirst(wanted, added)).rejects.toMatchObject({ code: "QUOTA_EXCEEDED" });
    expect(added).not.toHaveBeenCalled();
    expect(await database.bytesIds()).toEqual([]);
  });

  test("leave nothing behind where their uploads can't be added", async () => {
    const refusal = new UploadError("DATABASE_UNAVAILABLE");
    await expect(copies.keepFirst(wanted, () => Promise.reject(refusal))).rejects.toBe(refusal);
    expect(await database.bytesIds()).toEqual([]);
  });

  test("are kept together where they are small", async () => {
    slowCopies();
    const startedAt = time.elapsed;
    const kept = copies.keepFirst(wanted, async () => {});
    await time.runUntil(startedAt + 1_000);
    await kept;
    expect(await database.bytesIds()).toHaveLength(2);
  });

  test("are copied no further once one has failed", async () => {
    const signals: (AbortSignal | undefined)[] = [];
    const failure = new UploadError("FILE_CHANGED");
    database.putBytes = async (id, _source, signal) => {
      signals.push(signal);
      if (id === IDS[0]) throw failure;
    };
    await expect(copies.keepFirst(wanted, async () => {})).rejects.toBe(failure);
    expect(signals.map((signal) => signal?.aborted)).toEqual([true, true]);
  });

  test("need no room where they are handles", async () => {
    estimate = { quota: 0, usage: 0 };
    const handles = wanted.map(({ record }) => ({ record, source: new FileHandle(file) }));
    await copies.keepFirst(handles, async () => {});
    expect(await database.bytesIds()).toHaveLength(2);
  });

  test("are no orphans while their uploads are not added yet", async () => {
    slowCopies();
    const kept = copies.keepFirst(wanted, () => time.sleep(1_000));
    await time.runUntil(1_500);
    await copies.deleteOrphans();
    expect(await database.bytesIds()).toHaveLength(2);
    await time.runUntil(2_000);
    await kept;
    // Nobody has added them after all.
    await copies.deleteOrphans();
    expect(await database.bytesIds()).toEqual([]);
  });
});

describe("orphans", () => {
  test("are bytes of uploads that have ended for good, or are not there", async () => {
    const [queued, failed, done] = await add(records.queued, records.failed, records.done);
    const gone = "99999999-2222-4333-8444-555555555555";
    for (const id of [queued?.id, failed?.id, done?.id, gone]) await database.putBytes(id as string, file);
    await copies.deleteOrphans();
    expect(await database.bytesIds()).toEqual([queued?.id, failed?.id]);
  });
});

describe("opening a file again", () => {
  test("wakes its upload if the user has allowed it", async () => {
    const [upload] = (await add(waitingForFile)) as [Upload];
    await database.putBytes(ID, new FileHandle(file));
    await copies.reopen(upload);
    expect(upload.record).toMatchObject({ state: "uploading", durability: "handle" });
  });

  test("wakes its upload if a copy has been kept since", async () => {
    const [upload] = (await add(waitingForFile)) as [Upload];
    await database.putBytes(ID, file);
    await copies.reopen(upload);
    expect(upload.record).toMatchObject({ state: "uploading", durability: "stored" });
  });

  test.each([
    [
      "the user has not allowed it",
      new FileHandle(new DOMException("no", "NotAllowedError")),
      "FILE_PERMISSION",
    ],
    ["the file is gone", new FileHandle(new DOMException("no", "NotFoundError")), "FILE_LOST"],
    ["nothing was kept", undefined, "FILE_LOST"],
  ])("is refused where %s", async (_why, source, code) => {
    const [upload] = (await add(waitingForFile)) as [Upload];
    if (source) await database.putBytes(ID, source);
    await expect(copies.reopen(upload)).rejects.toMatchObject({ code });
    expect(events).toEqual([]);
  });

  test.each([records.uploading, records.waiting, records.done])(
    "does nothing for an upload that is $state for another reason",
    async (record) => {
      const [upload] = (await add(record)) as [Upload];
      await copies.reopen(upload);
      expect(events).toEqual([]);
    },
  );

  test("does nothing while its bytes are being kept", async () => {
    slowCopies();
    const [upload] = (await add(waitingForFile)) as [Upload];
    copies.accept(upload, file, file);
    await copies.reopen(upload);
    expect(events).toEqual([{ type: "wake" }]);
    await time.runUntil(1_000);
  });
});
