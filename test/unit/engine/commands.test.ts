import { beforeEach, describe, expect, test } from "vitest";
import type { BackgroundFetches } from "../../../sw/background-fetch/index.ts";
import { Commands } from "../../../sw/engine/commands.ts";
import type { LiveUpload } from "../../../sw/engine/live-upload.ts";
import type { UploadRecord } from "../../../sw/model/record.ts";
import { FileHandle } from "../../support/file-handle.ts";
import { settlementOf } from "../../support/settlement.ts";
import { EngineBed, idOf, recordOf, TEXT } from "./engine-bed.ts";
import { TextBlob } from "./text-blob.ts";

let bed: EngineBed;
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
    ["nothing to wait for it", recordOf("uploading"), new TextBlob(TEXT), "STATE_INVALID"],
  ])("is refused if it has %s", async (_what, record, file, code) => {
    await bed.load(record);
    await expect(commands.attach(idOf(1), file)).rejects.toMatchObject({ code });
    expect(bed.writes).toEqual([]);
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
  expect([commands.mark, commands.partSpeed]).toEqual([{ epoch: "epoch", sequence: 0 }, null]);
});
