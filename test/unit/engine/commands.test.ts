import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { UploadError } from "../../../src/core/errors.ts";
import { StorageFault } from "../../../src/core/storage.ts";
import type { BackgroundFetches } from "../../../sw/background-fetch/index.ts";
import { Commands } from "../../../sw/engine/commands.ts";
import type { LiveUpload } from "../../../sw/engine/live-upload.ts";
import type { UploadRecord } from "../../../sw/model/record.ts";
import { FileHandle } from "../../support/file-handle.ts";
import { settlementOf } from "../../support/settlement.ts";
import { EngineBed, EPOCH, idOf, recordOf, TEXT } from "./engine-bed.ts";
import { etagOf, TextBlob } from "./text-blob.ts";

let bed: EngineBed;
afterEach(() => vi.restoreAllMocks());
let commands: Commands;
let takenBack: string[];

beforeEach(async () => {
  bed = await EngineBed.start();
  takenBack = [];
  const fetches = {
    takeBack: async () => void takenBack.push("all"),
    takeBackForeign: async () => void takenBack.push("foreign"),
  } as unknown as BackgroundFetches;
  commands = new Commands({ ...bed, fetches } as never);
});

const states = (count: number) =>
  Array.from({ length: count }, (_, index) => bed.stateOf(idOf(index + 1)) ?? null);
const added = (number: number, source: unknown = new TextBlob(TEXT), more: object = {}) => ({
  record: recordOf("queued", number, { durability: "memory", ...more }) as UploadRecord,
  source: source as Blob,
  bytes: source as Blob,
  requireDurable: false,
});

describe("adding", () => {
  test("a file settles once its copy is stored", async () => {
    await commands.add([added(1), added(2)]);
    expect([...bed.disk.uploads.values()].map(({ durability }) => durability)).toEqual(["stored", "stored"]);
    expect(bed.disk.bytes.size).toBe(2);
    expect(commands.list().uploads.map(({ id }) => id)).toEqual([idOf(1), idOf(2)]);
  });

  test("the same id again adds nothing, and waits for the copy that is under way", async () => {
    let keep = () => {};
    const putBytes = bed.database.putBytes.bind(bed.database);
    bed.database.putBytes = async (...args) => {
      await new Promise<void>((resolve) => {
        keep = resolve;
      });
      return putBytes(...args);
    };
    const first = settlementOf(commands.add([added(1)]));
    await bed.time.settle();
    const again = settlementOf(commands.add([added(1)]));
    await bed.time.settle();
    expect([first.state, again.state]).toEqual(["pending", "pending"]);
    keep();
    await bed.time.settle();
    expect([first.state, again.state, bed.disk.uploads.size]).toEqual(["fulfilled", "fulfilled", 1]);
  });

  test("files that must be durable adds all of them once they are stored, or none", async () => {
    bed.disk.capacityBytes = TEXT.length;
    const both = [1, 2].map((number) => ({ ...added(number), requireDurable: true }));
    await expect(commands.add(both)).rejects.toMatchObject({ code: "QUOTA_EXCEEDED" });
    expect([bed.disk.uploads.size, bed.disk.bytes.size, commands.list().uploads]).toEqual([0, 0, []]);
    await commands.add(both.slice(0, 1));
    expect(bed.disk.uploads.get(idOf(1))).toMatchObject({ durability: "stored" });
  });
});

describe("pausing and resuming", () => {
  test("all uploads writes one transaction, whatever their number, and leaves those that have ended", async () => {
    await bed.load(recordOf("uploading", 1), recordOf("waiting", 2), recordOf("done", 3));
    await commands.pause(null);
    expect([states(3), bed.writes.length]).toEqual([["paused", "paused", "done"], 1]);
    await commands.resume(null);
    expect([states(3), bed.writes.length]).toEqual([["uploading", "uploading", "done"], 2]);
  });

  test("one upload leaves the others, and records who asked for it", async () => {
    await bed.load(recordOf("uploading", 1), recordOf("uploading", 2));
    await commands.pause(idOf(1), "browser");
    expect(states(2)).toEqual(["paused", "uploading"]);
    expect(bed.disk.uploads.get(idOf(1))).toMatchObject({ reason: "browser" });
  });
});

describe("an upload that has ended", () => {
  test("is retried only if it has failed, and goes on with what S3 has", async () => {
    await bed.load(recordOf("failed", 1), recordOf("done", 2), recordOf("failed", 3));
    await expect(commands.retry(idOf(2))).rejects.toMatchObject({ code: "STATE_INVALID" });
    await commands.retry(idOf(1));
    // A second time changes nothing, since the first one's answer may have been lost.
    await commands.retry(idOf(1));
    expect(states(3)).toEqual(["uploading", "done", "failed"]);
    await commands.retry(null);
    expect(states(3)).toEqual(["uploading", "done", "uploading"]);
    expect(bed.disk.uploads.get(idOf(1))).toMatchObject({ remote: { at: "open", token: "t1" } });
  });

  test("is not canceled any more once it is done", async () => {
    await bed.load(recordOf("done", 1), recordOf("failed", 2));
    await expect(commands.cancel(idOf(1))).rejects.toMatchObject({ code: "STATE_INVALID" });
    await commands.cancel(idOf(2));
    expect(states(2)).toEqual(["done", "canceled"]);
  });

  test("is removed; with all at once, those that may still be retried stay", async () => {
    await bed.load(recordOf("done", 1), recordOf("failed", 2), recordOf("uploading", 3));
    await expect(commands.remove(idOf(3))).rejects.toMatchObject({ code: "STATE_INVALID" });
    await commands.remove(null);
    expect(states(3)).toEqual([null, "failed", "uploading"]);
    await commands.remove(idOf(2));
    expect(commands.list().uploads.map(({ id }) => id)).toEqual([idOf(3)]);
    // A second time changes nothing, since the first one's answer may have been lost.
    await commands.remove(idOf(2));
  });
});

describe("a file given back", () => {
  const lost = () => recordOf("waiting", 1, { reason: "file", nextAttemptAt: null, durability: "memory" });

  test("wakes its upload, and is kept", async () => {
    const [upload] = (await bed.load(lost())) as [LiveUpload];
    bed.disk.bytes.clear();
    await commands.attach(idOf(1), new TextBlob(TEXT));
    expect(upload.record).toMatchObject({ state: "uploading", durability: "stored" });
    expect(bed.disk.bytes.size).toBe(1);
  });

  test.each([
    ["another size", lost(), new TextBlob("hello"), "FILE_MISMATCH"],
    ["no date", { ...lost(), lastModified: 7 }, new TextBlob(TEXT), "FILE_MISMATCH"],
    ["another size than the one it has", recordOf("uploading"), new TextBlob("hello"), "FILE_MISMATCH"],
    ["nobody to wait for it", recordOf("canceled"), new TextBlob(TEXT), "STATE_INVALID"],
  ])("is refused if it has %s", async (_what, record, file, code) => {
    await bed.load(record);
    await expect(commands.attach(idOf(1), file)).rejects.toMatchObject({ code });
    expect(bed.writes).toEqual([]);
  });

  test("a second time changes nothing, since the first one's answer may have been lost", async () => {
    const [upload] = (await bed.load(lost())) as [LiveUpload];
    await commands.attach(idOf(1), new TextBlob(TEXT));
    const { record } = upload;
    bed.writes.length = 0;
    await commands.attach(idOf(1), new TextBlob(TEXT));
    expect([upload.record, bed.writes]).toEqual([record, []]);
  });

  // The worker before has woken the upload, and died before it had copied the file.
  test.each(["uploading", "paused"] as const)("is kept though its upload is %s again", async (state) => {
    const [upload] = (await bed.load(recordOf(state, 1, { durability: "memory" }))) as [LiveUpload];
    bed.disk.bytes.clear();
    await commands.attach(idOf(1), new TextBlob(TEXT));
    expect(upload.record).toMatchObject({ state, durability: "stored" });
    expect(bed.disk.bytes.size).toBe(1);
  });

  test("is kept once whoever drives its upload has found it missing", async () => {
    const [upload] = (await bed.load(recordOf("uploading", 1, { durability: "memory" }))) as [LiveUpload];
    bed.disk.bytes.clear();
    let letGo = () => {};
    upload.driving = new Promise((resolve) => {
      letGo = resolve;
    });
    const attached = commands.attach(idOf(1), new TextBlob(TEXT));
    await bed.roster.apply(upload, {
      type: "fault",
      reason: "file",
      nextAttemptAt: null,
      error: { code: "FILE_LOST", detail: "" },
    });
    letGo();
    await attached;
    expect(upload.record).toMatchObject({ state: "uploading", durability: "stored" });
  });

  describe("of which S3 has parts already", () => {
    /** Confirmed as the worker before has noted it, of the file that was lost. */
    const sentBefore = async (texts: Readonly<Record<number, string>>, more: object = {}) => {
      const receipts = Object.entries(texts).map(([number, text]) => ({
        partNumber: Number(number),
        etag: etagOf(text),
        checksum: Buffer.from(etagOf(text), "hex").toString("base64"),
        ...more,
      }));
      const record = "checksum" in more ? { ...lost(), checksum: "none" as const } : lost();
      await bed.load(record);
      bed.disk.bytes.clear();
      await bed.database.partsDone(idOf(1), "t1", receipts);
      await bed.roster.load();
      return bed.roster.get(idOf(1)) as LiveUpload;
    };

    test.each(["Hello, world", "hello, worlD", "hello! world"])(
      "is refused if %j has one part that differs, and what S3 has is kept for the right one",
      async (other) => {
        const upload = await sentBefore({ 1: "hello", 2: ", wor", 3: "ld" });
        await expect(commands.attach(idOf(1), new TextBlob(other))).rejects.toMatchObject({
          code: "FILE_MISMATCH",
        });
        expect([upload.record.state, upload.ledger.doneParts, bed.disk.bytes.size, bed.writes]).toEqual([
          "waiting",
          3,
          0,
          [],
        ]);
        await commands.attach(idOf(1), new TextBlob(TEXT));
        expect([upload.record.state, upload.ledger.doneParts]).toEqual(["uploading", 3]);
      },
    );

    test("is compared by ETags where nothing was hashed", async () => {
      const upload = await sentBefore({ 1: "hello", 3: "ld" }, { checksum: null });
      await expect(commands.attach(idOf(1), new TextBlob("hello, worlD"))).rejects.toMatchObject({
        code: "FILE_MISMATCH",
      });
      await commands.attach(idOf(1), new TextBlob("hello! world"));
      expect([upload.record.state, upload.ledger.doneParts]).toEqual(["uploading", 2]);
    });

    test("sends again what can't be compared at all, so that no object is made of two files", async () => {
      const upload = await sentBefore({ 1: "hello", 3: "ld" }, { checksum: null, etag: "no-md5" });
      upload.ledger.doubt(2, 5);
      await commands.attach(idOf(1), new TextBlob("HELLO, WORLD"));
      expect([upload.record.state, upload.ledger.doneParts]).toEqual(["uploading", 0]);
      expect(upload.ledger.upcoming(9).toSorted()).toEqual([1, 2, 3]);
      expect(bed.disk.parts.get(idOf(1))?.size).toBe(0);
    });

    test("and that can't be read is refused, and can be picked again", async () => {
      const upload = await sentBefore({ 1: "hello" });
      const file = new TextBlob({ text: TEXT, isUnreadable: true });
      await expect(commands.attach(idOf(1), file)).rejects.toMatchObject({ code: "FILE_LOST" });
      expect(upload.record.state).toBe("waiting");
    });
  });

  test("by a handle can be asked for again, and its upload goes on once it can be read", async () => {
    await bed.load(lost());
    await expect(commands.handle(idOf(1))).rejects.toMatchObject({ code: "STATE_INVALID" });
    const handle = new FileHandle(new File([TEXT], "a.jpg"));
    bed.disk.bytes.set(idOf(1), handle as never);
    expect(await commands.handle(idOf(1))).toBe(handle);
    await commands.reopen(idOf(1));
    expect(states(1)).toEqual(["uploading"]);
  });
});

describe("owners", () => {
  test("that a page believes in must be the ones that are signed in", async () => {
    await commands.setOwner("ann");
    expect([commands.owner, takenBack]).toEqual(["ann", ["foreign"]]);
    expect(() => commands.checkOwner("ben")).toThrow(expect.objectContaining({ code: "OWNER_CHANGED" }));
    commands.checkOwner("ann");
    commands.checkOwner(null);
  });

  test("find nothing of each other's", async () => {
    await bed.load(recordOf("uploading", 1, { owner: "ben" }));
    await commands.setOwner("ann");
    for (const call of [commands.pause(idOf(1)), commands.cancel(idOf(1)), commands.retry(idOf(1))])
      await expect(call).rejects.toMatchObject({ code: "UPLOAD_NOT_FOUND", detail: idOf(1) });
    await commands.remove(idOf(1));
    expect([commands.list().uploads, bed.writes]).toEqual([[], []]);
  });
});

test("the database remembers that a page has given headers, and uploads that wait for a user go on", async () => {
  const [upload] = (await bed.load(recordOf("waiting", 1, { reason: "auth" }))) as [LiveUpload];
  await commands.authorized(true);
  expect([bed.disk.usesAuth, upload.record.state]).toEqual([true, "uploading"]);
  bed.database.setUsesAuth = () => expect.unreachable("it is known already");
  await commands.authorized(true);
});

test("a page that opens has all waiting uploads tried, and can take back what was handed over", async () => {
  const [upload] = (await bed.load(recordOf("waiting"))) as [LiveUpload];
  expect(upload.dueAt).toBe(10_000);
  await commands.visited();
  await commands.takeBack();
  expect([upload.dueAt, takenBack]).toEqual([0, ["all"]]);
  expect([commands.promiseMark(), commands.partSpeed]).toEqual([{ epoch: "epoch", sequence: 0 }, null]);
});

describe("ended uploads", () => {
  const HOUR_MS = 3_600_000;
  const ended = (state: "done" | "canceled" | "failed", number: number, hours: number, more: object = {}) =>
    recordOf(state, number, {
      updatedAt: EPOCH - hours * HOUR_MS,
      ...(state === "canceled" && { remote: { at: "none" } }),
      ...more,
    });

  const visited = async () => {
    await commands.visited();
    await bed.time.settle();
  };

  test("are taken off the list when they are too old or too many, by one write, but for what somebody may still need", async () => {
    await bed.load(
      ended("done", 1, 31 * 24),
      ended("done", 2, 3),
      ended("canceled", 3, 2),
      ended("done", 4, 1.5),
      ended("done", 5, 0.5),
      ended("failed", 6, 31 * 24),
      ended("canceled", 7, 31 * 24, { remote: { at: "open", token: "t7" } }),
      ended("done", 8, 3, { owner: "ben" }),
      ended("done", 9, 31 * 24, { owner: "ben" }),
      recordOf("waiting", 10, { updatedAt: EPOCH - 40 * 24 * HOUR_MS }),
    );
    await visited();
    expect([...bed.disk.uploads.keys()]).toEqual([4, 5, 6, 7, 8, 10].map(idOf));
    expect(bed.writes).toHaveLength(1);
    expect(commands.list().uploads.map(({ id }) => id)).toEqual([4, 5, 6, 7, 10].map(idOf));
  });

  test("are looked through at most once an hour, and none that has ended within an hour goes", async () => {
    await bed.load(...[1, 2, 3, 4].map((number) => ended("done", number, 0)));
    await visited();
    expect(bed.disk.uploads.size).toBe(4);
    await bed.time.runUntil(HOUR_MS - 1);
    await visited();
    expect(bed.disk.uploads.size).toBe(4);
    await bed.time.runUntil(HOUR_MS + 1);
    await visited();
    expect([bed.disk.uploads.size, bed.writes.length]).toEqual([2, 1]);
  });

  test("that can't be removed keep no page and no upload waiting", async () => {
    vi.spyOn(console, "warn").mockImplementation(() => {});
    await bed.load(ended("done", 1, 31 * 24), recordOf("queued", 2));
    const { database } = bed;
    const refused = vi.spyOn(database, "apply").mockRejectedValueOnce(new UploadError("QUOTA_EXCEEDED"));
    await visited();
    expect([refused.mock.calls.length, bed.disk.uploads.size]).toEqual([1, 2]);
    bed.supervisor.drive();
    await bed.time.settle();
    expect(bed.roster.get(idOf(2))?.record.state).toBe("done");
  });
});

describe("a user who is to be forgotten", () => {
  const load = async () => {
    await bed.load(
      recordOf("uploading", 1, { owner: "ann" }),
      recordOf("failed", 2, { owner: "ann" }),
      recordOf("done", 3, { owner: "ann" }),
      recordOf("queued", 4, { owner: "ann", remote: { at: "asked", since: 1 } }),
      recordOf("uploading", 5, { owner: "ben" }),
    );
    for (const number of [1, 5])
      await bed.database.partsDone(idOf(number), `t${number}`, [
        { partNumber: 1, etag: "e", checksum: null },
      ]);
    await commands.setOwner("ann");
  };
  const forgotten = () => bed.steps.filter(({ type }) => type === "forgotten");

  test("leaves nothing on the device or open at S3, and nothing of others' is touched", async () => {
    await load();
    await commands.forget("ann");
    expect([...bed.disk.uploads.keys()]).toEqual([idOf(5)]);
    expect([...bed.disk.parts.keys()]).toEqual([idOf(5)]);
    expect([...bed.disk.bytes.keys()]).toEqual([idOf(5)]);
    expect(bed.s3.aborted).toEqual(["t1", "t2"]);
    expect([commands.owner, bed.disk.owner, commands.list().uploads]).toEqual(["", "", []]);
    // The begin whose answer was lost.
    expect(forgotten()).toEqual([{ type: "forgotten", uploads: 4, leftOpen: 1 }]);
    expect(JSON.stringify([...bed.disk.uploads])).not.toMatch(/ann|"t1"/);
  });

  test("is forgotten also where the server does not answer, and what stays open at S3 is noted", async () => {
    await load();
    bed.s3.answer("abort", new StorageFault("network", "NETWORK"), () => new Promise(() => {}));
    const done = settlementOf(commands.forget("ann"));
    await bed.time.runUntil(9_999);
    expect([...bed.disk.bytes.keys(), done.state]).toEqual([idOf(5), "pending"]);
    await bed.time.runUntil(10_000);
    expect([done.state, bed.disk.uploads.size]).toEqual(["fulfilled", 1]);
    expect(forgotten()).toEqual([{ type: "forgotten", uploads: 4, leftOpen: 3 }]);
  });

  test("is not signed out who is another one", async () => {
    await load();
    await commands.setOwner("ben");
    await commands.forget("ann");
    expect([commands.owner, bed.disk.uploads.size, takenBack.at(-1)]).toEqual(["ben", 1, "foreign"]);
  });

  test("has the copy of a file that is being made stopped, and none of it stays", async () => {
    await commands.setOwner("ann");
    const adding = settlementOf(commands.add([added(1, new TextBlob(TEXT), { owner: "ann" })]));
    await commands.forget("ann");
    await bed.time.runUntil(1_000);
    expect([adding.state, bed.disk.bytes.size, bed.disk.uploads.size]).toEqual(["fulfilled", 0, 0]);
  });
});
