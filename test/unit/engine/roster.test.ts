import { beforeEach, describe, expect, test } from "vitest";
import { EngineBed, idOf, recordOf } from "./engine-bed.ts";

let bed: EngineBed;
let told: unknown[];

beforeEach(async () => {
  bed = await EngineBed.start();
  told = [];
  bed.roster.on("owner", (owner) => told.push(["owner", owner]));
  bed.roster.on("ended", (id) => told.push(["ended", id]));
});

const ids = (uploads: readonly { readonly id: string }[]) => uploads.map(({ id }) => id);

describe("loading", () => {
  test("reads every upload with its parts, and none of what has ended for good", async () => {
    for (const number of [1, 2, 3])
      bed.disk.parts.set(
        idOf(number),
        new Map([[1, { uploadId: idOf(number), partNumber: 1, state: "done", etag: "e", checksum: null }]]),
      );
    const uploads = await bed.load(recordOf("uploading", 1), recordOf("failed", 2), recordOf("done", 3));
    expect(uploads.map(({ ledger }) => ledger.doneParts)).toEqual([1, 1, 0]);
    expect(ids(bed.roster.unfinished())).toEqual([idOf(1)]);
  });

  test("again keeps the uploads that are known, with what another worker has written since", async () => {
    const [upload] = await bed.load(recordOf("uploading"));
    bed.disk.uploads.set(idOf(1), recordOf("paused"));
    bed.disk.uploads.set(idOf(2), recordOf("queued", 2));
    await bed.roster.load();
    expect(bed.roster.get(idOf(1))).toBe(upload);
    expect(upload?.record.state).toBe("paused");
    expect(bed.roster.get(idOf(2))?.record.state).toBe("queued");
  });

  test("knows rows that only another version can read, so that their bytes are not orphans", async () => {
    const id = idOf(7);
    bed.disk.unreadableIds.add(id);
    bed.disk.bytes.set(id, new Blob(["theirs"]));
    bed.disk.bytes.set(idOf(8), new Blob(["nobody's"]));
    await bed.load(recordOf("queued"));
    expect([bed.roster.isStored(id), bed.roster.isStored(idOf(1)), bed.roster.isStored(idOf(8))]).toEqual([
      true,
      true,
      false,
    ]);
    await bed.copies.deleteOrphans();
    expect([...bed.disk.bytes.keys()].sort()).toEqual([idOf(1), id]);
  });

  test("reads who was signed in last, and halts the uploads of whoever was before", async () => {
    const [anns] = await bed.load(recordOf("uploading", 1, { owner: "ann" }));
    await bed.roster.setOwner("ann");
    anns?.restart();
    const { signal } = anns as NonNullable<typeof anns>;
    bed.disk.owner = "ben";
    await bed.roster.load();
    expect([bed.roster.owner, signal.aborted]).toEqual(["ben", true]);
    expect(told).toEqual([
      ["owner", "ann"],
      ["owner", "ben"],
    ]);
  });
});

describe("owners", () => {
  test("see and drive their own uploads only", async () => {
    await bed.load(recordOf("queued", 1, { owner: "ann" }), recordOf("queued", 2, { owner: "ben" }));
    expect(bed.roster.own()).toEqual([]);
    await bed.roster.setOwner("ann");
    expect([ids(bed.roster.own()), ids(bed.roster.unfinished())]).toEqual([[idOf(1)], [idOf(1)]]);
    expect([bed.roster.visible(idOf(1))?.id, bed.roster.visible(idOf(2))]).toEqual([idOf(1), undefined]);
    expect(bed.roster.get(idOf(2))?.id).toBe(idOf(2));
  });

  test("are written before anything else is done for them", async () => {
    await bed.load(recordOf("queued", 1, { owner: "ann" }));
    bed.database.close();
    await expect(bed.roster.setOwner("ann")).rejects.toMatchObject({ code: "DATABASE_CLOSED" });
    expect([bed.roster.owner, told]).toEqual(["", []]);
  });

  test("that change make pages see the uploads of the one go and those of the other come", async () => {
    await bed.load(recordOf("queued", 1), recordOf("queued", 2, { owner: "ann" }));
    await bed.roster.setOwner("ann");
    await bed.time.runUntil(1_000);
    expect(bed.posted).toMatchObject([{ changed: [{ id: idOf(2) }], removed: [idOf(1)] }]);
  });
});

describe("an event", () => {
  test("is written first; where that fails, nothing has happened", async () => {
    const [upload] = await bed.load(recordOf("uploading"));
    bed.database.close();
    const applied = bed.roster.apply(upload as never, { type: "pause", reason: "user" });
    await expect(applied).rejects.toMatchObject({ code: "DATABASE_CLOSED" });
    expect([upload?.record.state, upload?.signal.aborted]).toEqual(["uploading", false]);
  });

  test("for many uploads is written in one transaction, and applied to each", async () => {
    const uploads = await bed.load(...[1, 2, 3].map((number) => recordOf("uploading", number)));
    await bed.roster.applyAll(uploads, () => ({ type: "pause", reason: "user" }));
    expect(bed.writes.map((events) => events.length)).toEqual([3]);
    expect(uploads.map(({ record, signal }) => [record.state, signal.aborted])).toEqual(
      Array(3).fill(["paused", true]),
    );
    await bed.roster.applyAll([], () => expect.unreachable());
    expect(bed.writes).toHaveLength(1);
  });

  test("meets what another worker has written, and gives that where it means nothing there", async () => {
    const [upload] = await bed.load(recordOf("uploading"));
    bed.disk.uploads.set(idOf(1), recordOf("paused"));
    await bed.roster.apply(upload as never, { type: "sent" });
    expect(upload?.record.state).toBe("paused");
  });

  test("for an upload that is not stored any more makes it go here, too", async () => {
    const [upload] = await bed.load(recordOf("uploading"));
    bed.disk.uploads.clear();
    await bed.roster.apply(upload as never, { type: "sent" });
    expect([bed.roster.get(idOf(1)), upload?.signal.aborted]).toEqual([undefined, true]);
    expect(bed.roster.unfinished()).toEqual([]);
    expect(told).toEqual([["ended", idOf(1)]]);
  });

  test("that ends an upload deletes its bytes, and nothing waits for that", async () => {
    const [upload] = await bed.load(recordOf("completing"));
    bed.database.deleteBytes = () => new Promise(() => {});
    const { object } = recordOf("done");
    await bed.roster.apply(upload as never, { type: "completed", object });
    expect([upload?.record.state, upload?.bytes]).toEqual(["done", undefined]);
    expect(told).toEqual([["ended", idOf(1)]]);
  });

  test("that doubts parts makes S3 be asked about all of them", async () => {
    const [upload] = await bed.load(recordOf("completing"));
    await bed.database.partsDone(idOf(1), "t1", [{ partNumber: 2, etag: "e", checksum: null }]);
    await bed.roster.load();
    expect(upload?.ledger.doneParts).toBe(1);
    await bed.roster.apply(upload as never, { type: "partsMissing" });
    expect([upload?.ledger.doneParts, upload?.ledger.doubtfulAt(0)]).toEqual([0, [2]]);
  });

  test("to an upload of somebody else lets nobody go on with it", async () => {
    const [upload] = await bed.load(recordOf("queued", 1, { owner: "ann" }));
    await bed.roster.apply(upload as never, { type: "begun", token: "t1", key: "a.jpg" });
    expect([upload?.record.state, upload?.signal.aborted]).toEqual(["uploading", true]);
  });

  test("that removes a canceled upload hides it until nothing is open at S3", async () => {
    const [upload] = await bed.load(recordOf("canceled"));
    await bed.roster.apply(upload as never, { type: "remove" });
    expect([bed.roster.visible(idOf(1)), ids(bed.roster.unfinished())]).toEqual([undefined, [idOf(1)]]);
    await bed.roster.apply(upload as never, { type: "aborted" });
    expect([bed.roster.get(idOf(1)), bed.stateOf(idOf(1))]).toEqual([undefined, undefined]);
  });
});
