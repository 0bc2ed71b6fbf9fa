import { assert } from "chai";
import type { UploadDatabase } from "../../sw/database/upload-database.ts";
import type { UploadRecord } from "../../sw/model/record.ts";
import type { UploadEvent } from "../../sw/model/transition.ts";
import { records } from "../unit/records.ts";

/** The functions of an implementation that the suite needs, anew for each test. */
export interface DatabaseBed {
  /** The time of the databases' clock, in milliseconds since 1970. */
  now: number;
  /** Another connection to the same database. */
  open(): Promise<UploadDatabase>;
  /** Stores a row that only another version of the library could read. */
  plantUnreadable(id: string): Promise<void>;
  /** Deletes the database under its connections. */
  deleteDatabase(): Promise<void>;
  close(): Promise<void>;
}

export type DefineTest = (name: string, run: () => Promise<void>) => void;

const MIB = 1024 * 1024;

/**
 * The conformance suite of the upload database. It runs in Node and in browsers, so it asserts with Chai
 * alone.
 */
export function uploadDatabaseSuite(defineTest: DefineTest, makeBed: () => Promise<DatabaseBed>): void {
  function test(name: string, run: (database: UploadDatabase, bed: DatabaseBed) => Promise<void>) {
    defineTest(name, async () => {
      const bed = await makeBed();
      try {
        await run(await bed.open(), bed);
      } finally {
        await bed.close();
      }
    });
  }

  test("knows nobody and no speed at first", async (database) => {
    assert.strictEqual(await database.owner(), "");
    assert.strictEqual(await database.partSpeed(), null);
    assert.strictEqual(await database.usesAuth(), false);
    assert.deepEqual(await database.all(), { records: [], unreadableIds: [] });
    assert.deepEqual(await database.bytesIds(), []);
  });

  test("keeps owner and speed for the next connection", async (database, bed) => {
    await database.setOwner("ada");
    await database.setPartSpeed(125_000);
    await database.setUsesAuth(true);
    database.close();
    const next = await bed.open();
    assert.strictEqual(await next.owner(), "ada");
    assert.strictEqual(await next.partSpeed(), 125_000);
    assert.strictEqual(await next.usesAuth(), true);
  });

  test("gives uploads their order, after all that are stored", async (database, bed) => {
    const [a, b, c] = [queued(), queued(), queued()];
    const added = await database.add([a, b]);
    assert.deepEqual(added, [
      { ...a, order: 1 },
      { ...b, order: 2 },
    ]);
    const other = await bed.open();
    assert.deepEqual(orders(await other.add([c])), [[c.id, 3]]);
    assert.deepEqual(orders((await database.all()).records), [
      [a.id, 1],
      [b.id, 2],
      [c.id, 3],
    ]);
  });

  test("leaves an upload as it is that is added again", async (database) => {
    const [a, b] = [queued(), queued()];
    await database.add([a]);
    await apply(database, a.id, { type: "pause", reason: "user" });
    assert.deepEqual(orders(await database.add([a, b, b])), [[b.id, 2]]);
    assert.deepEqual(await statesOf(database), { [a.id]: "paused", [b.id]: "queued" });
  });

  test("gives no order twice, though two connections add at once", async (database, bed) => {
    const other = await bed.open();
    const adding = [database, other, database, other].map((each) => each.add([queued(), queued()]));
    const added = (await Promise.all(adding)).flat().map(({ order }) => order);
    assert.sameMembers(added, [1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test("applies many events at once and answers in their order", async (database) => {
    const [a, b, c] = [queued(), queued(), queued()];
    await database.add([a, b, c]);
    const results = await database.apply([
      { id: c.id, event: { type: "pause", reason: "user" } },
      { id: a.id, event: { type: "beginning" } },
      { id: unknownId, event: { type: "cancel" } },
      { id: b.id, event: { type: "cancel" } },
      { id: a.id, event: { type: "begun", token: "t", key: "other.jpg" } },
    ]);
    assert.deepEqual(
      results.map(({ record }) => record && [record.id, record.state]),
      [[c.id, "paused"], [a.id, "queued"], undefined, [b.id, "canceled"], [a.id, "uploading"]],
    );
    assert.deepEqual(results[2]?.effects, []);
    assert.deepEqual(results[3]?.effects, ["halt", "deleteBytes", "deleteParts", "drive"]);
    const { records } = await database.all();
    assert.deepEqual(
      records.map(({ id, state }) => [id, state]),
      [
        [a.id, "uploading"],
        [b.id, "canceled"],
        [c.id, "paused"],
      ],
    );
    assert.deepInclude(records[0], { key: "other.jpg", remote: { at: "open", token: "t" } });
  });

  test("applies an event to each of hundreds of uploads, of some hundreds more", async (database) => {
    const ids = await uploading(database, 300);
    const [paused, ...named] = ids.slice(100);
    await database.apply([{ id: paused as string, event: { type: "pause", reason: "browser" } }]);
    const events = [unknownId, ...named].map((id) => ({ id, event: { type: "cancel" } as const }));
    const results = await database.apply(events);
    assert.deepEqual(
      results.map(({ record }) => record?.id),
      [undefined, ...named],
    );
    const states = Object.values(await statesOf(database));
    assert.strictEqual(states.filter((state) => state === "canceled").length, 199);
    assert.strictEqual(states.filter((state) => state === "uploading").length, 100);
    assert.strictEqual(states.filter((state) => state === "paused").length, 1);
  });

  test("notes when a record was changed, and changes none for an event that means nothing", async (database, bed) => {
    const a = queued();
    await database.add([a]);
    bed.now = 5_000;
    await apply(database, a.id, { type: "pause", reason: "user" });
    bed.now = 6_000;
    const result = await apply(database, a.id, { type: "sent" });
    assert.deepEqual(result.effects, []);
    assert.deepInclude((await database.all()).records[0], { state: "paused", updatedAt: 5_000 });
  });

  test("does nothing when there is nothing to apply", async (database) => {
    assert.deepEqual(await database.apply([]), []);
    assert.deepEqual(await database.add([]), []);
  });

  test("deletes the record and parts of an upload that is removed, and nobody else's", async (database) => {
    const [a, b] = await uploading(database, 2);
    await database.claimParts(a, "t", [1, 2]);
    await database.claimParts(b, "t", [1]);
    const results = await database.apply([
      { id: a, event: { type: "cancel" } },
      { id: a, event: { type: "aborted" } },
      { id: a, event: { type: "remove" } },
      { id: a, event: { type: "retry" } },
    ]);
    assert.deepEqual(
      results.map(({ record }) => record?.state),
      ["canceled", "canceled", undefined, undefined],
    );
    assert.deepEqual(await statesOf(database), { [b]: "uploading" });
    assert.deepEqual([...(await database.allParts()).keys()], [b]);
  });

  test("makes claims of all receipts when S3 lacked parts at completion", async (database) => {
    const [a, b] = await uploading(database, 2);
    await database.partsDone(a, "t", [receipt(1), receipt(2), receipt(3)]);
    await database.partsDone(b, "t", [receipt(1)]);
    await database.apply([
      { id: a, event: { type: "sent" } },
      { id: a, event: { type: "partsMissing" } },
    ]);
    assert.deepEqual(await database.parts(a), [claim(a, 1), claim(a, 2), claim(a, 3)]);
    assert.deepEqual(await database.parts(b), [done(b, 1)]);
  });

  test("lists claims and receipts by part number, for one upload and for all", async (database) => {
    const [a, b, c] = await uploading(database, 3);
    assert.isTrue(await database.claimParts(a, "t", [12, 2, 3]));
    await database.partsDone(a, "t", [receipt(100), receipt(2)]);
    await database.unclaimParts(a, "t", [3]);
    await database.claimParts(c, "t", [1]);
    const ofA = [done(a, 2), claim(a, 12), done(a, 100)];
    assert.deepEqual(await database.parts(a), ofA);
    assert.deepEqual(await database.parts(b), []);
    const all = await database.allParts();
    assert.sameMembers([...all.keys()], [a, c]);
    assert.deepEqual(all.get(a), ofA);
    assert.deepEqual(all.get(c), [claim(c, 1)]);
  });

  test("claims parts only for an upload that is being sent under the same token", async (database) => {
    const [a] = await uploading(database, 1);
    assert.isFalse(await database.claimParts(a, "other", [1]));
    assert.isFalse(await database.claimParts(unknownId, "t", [1]));
    await apply(database, a, { type: "pause", reason: "user" });
    assert.isFalse(await database.claimParts(a, "t", [1]));
    await apply(database, a, { type: "resume" });
    assert.isTrue(await database.claimParts(a, "t", [1]));
    assert.deepEqual(await database.parts(a), [claim(a, 1)]);
  });

  test("notes what somebody else may have sent of a paused upload, but for what S3 is known to have", async (database) => {
    const [a] = await uploading(database, 1);
    await database.partsDone(a, "t", [receipt(1)]);
    await apply(database, a, { type: "pause", reason: "user" });
    await database.doubtParts(a, "other", [3]);
    await database.doubtParts(a, "t", [1, 2]);
    assert.deepEqual(await database.parts(a), [done(a, 1), claim(a, 2)]);
  });

  test("takes receipts of a paused upload, since S3 has those parts", async (database) => {
    const [a] = await uploading(database, 1);
    await database.claimParts(a, "t", [1]);
    await apply(database, a, { type: "pause", reason: "user" });
    await database.partsDone(a, "t", [receipt(1)]);
    assert.deepEqual(await database.parts(a), [done(a, 1)]);
  });

  test("takes no receipts once the upload has begun anew, or has ended", async (database) => {
    const [a] = await uploading(database, 1);
    await database.apply([
      { id: a, event: { type: "gone" } },
      { id: a, event: { type: "begun", token: "second", key: "a.jpg" } },
    ]);
    await database.partsDone(a, "t", [receipt(1)]);
    assert.deepEqual(await database.parts(a), []);
    await database.partsDone(a, "second", [receipt(1)]);
    await database.unclaimParts(a, "t", [1]);
    assert.deepEqual(await database.parts(a), [done(a, 1)]);
    await database.apply([
      { id: a, event: { type: "sent" } },
      { id: a, event: { type: "completed", object: records.done.object } },
    ]);
    await database.partsDone(a, "second", [receipt(2)]);
    assert.deepEqual(await database.parts(a), []);
    assert.deepEqual(await statesOf(database), { [a]: "done" });
  });

  test("keeps no claim of an upload that another connection cancels at the same moment", async (database, bed) => {
    const other = await bed.open();
    const ids = await uploading(database, 20);
    const claims = ids.map((id) => database.claimParts(id, "t", [1]));
    const cancels = ids.map((id) => apply(other, id, { type: "cancel" }));
    await Promise.all([...claims, ...cancels]);
    assert.strictEqual((await database.allParts()).size, 0);
  });

  test("ends where the state machine says, whichever of two connections is first", async (database, bed) => {
    const other = await bed.open();
    const ids = await uploading(database, 20);
    const sent = ids.map((id) => apply(database, id, { type: "sent" }));
    const canceled = ids.map((id) => apply(other, id, { type: "cancel" }));
    await Promise.all([...sent, ...canceled]);
    assert.deepEqual(await statesOf(database), Object.fromEntries(ids.map((id) => [id, "canceled"])));
  });

  for (const [what, size] of [
    ["an empty file", 0],
    ["a small file", 1_000],
    ["a file of one piece", 8 * MIB],
    ["a file of one piece and one byte", 8 * MIB + 1],
    ["a file of several pieces", 20 * MIB + 3],
  ] as const)
    test(`gives back ${what} as it was`, async (database, bed) => {
      const bytes = someBytes(size);
      await database.putBytes("a", new Blob([bytes], { type: "image/jpeg" }));
      database.close();
      const next = await bed.open();
      const kept = (await next.bytes("a")) as Blob;
      assert.isTrue(await holds(kept, bytes));
      assert.deepEqual(await next.bytesIds(), ["a"]);
    });

  test("keeps the bytes put last", async (database) => {
    for (const size of [9 * MIB, 10, 17 * MIB, 9 * MIB + 1, 0]) {
      const bytes = someBytes(size);
      await database.putBytes("a", new Blob([bytes]));
      assert.isTrue(await holds((await database.bytes("a")) as Blob, bytes), `${size} bytes`);
      assert.deepEqual(await database.bytesIds(), ["a"]);
    }
  });

  test("deletes the bytes of the uploads named, and no others", async (database) => {
    for (const id of ["a", "b", "c", "d"])
      await database.putBytes(id, new Blob([someBytes(id < "c" ? 9 * MIB : 10)]));
    await database.deleteBytes(["a", "c", "none"]);
    assert.sameMembers([...(await database.bytesIds())], ["b", "d"]);
    assert.isUndefined(await database.bytes("a"));
    assert.isUndefined(await database.bytes("c"));
    assert.isTrue(await holds((await database.bytes("b")) as Blob, someBytes(9 * MIB)));
    await database.deleteBytes([]);
  });

  test("puts nothing for a caller that has given up, and keeps what was there", async (database) => {
    await database.putBytes("a", new Blob(["before"]));
    const reason = new Error("given up");
    const signal = AbortSignal.abort(reason);
    for (const size of [10, 9 * MIB])
      assert.strictEqual(
        await rejection(database.putBytes("a", new Blob([someBytes(size)]), signal)),
        reason,
      );
    assert.strictEqual(await ((await database.bytes("a")) as Blob).text(), "before");
  });

  test("leaves rows alone that only another version can read, and names them", async (database, bed) => {
    const [a, b] = [queued(), queued()];
    await database.add([a]);
    await bed.plantUnreadable(b.id);
    await database.putBytes(b.id, new Blob(["the only copy"]));
    assert.deepEqual(orders(await database.add([b])), []);
    assert.deepEqual(await database.apply([{ id: b.id, event: { type: "cancel" } }]), [
      { record: undefined, effects: [] },
    ]);
    assert.isFalse(await database.claimParts(b.id, "t", [1]));
    const { records, unreadableIds } = await database.all();
    assert.deepEqual(
      records.map(({ id }) => id),
      [a.id],
    );
    assert.deepEqual(unreadableIds, [b.id]);
    assert.deepEqual(await database.bytesIds(), [b.id]);
  });

  test("refuses every call once it was closed, and does not tell who closed it", async (database, bed) => {
    let told = 0;
    database.onClosed(() => {
      told += 1;
    });
    database.close();
    database.close();
    await assertClosed(database);
    await bed.deleteDatabase();
    assert.strictEqual(told, 0);
  });

  test("tells each listener once that the database was deleted, and refuses every call from then on", async (database, bed) => {
    const told: string[] = [];
    database.onClosed(() => told.push("first"));
    database.onClosed(() => told.push("second"));
    const undo = database.onClosed(() => told.push("undone"));
    undo();
    await database.add([queued()]);
    await bed.deleteDatabase();
    assert.deepEqual(told, ["first", "second"]);
    await assertClosed(database);
    assert.deepEqual(told, ["first", "second"]);
  });

  test("tells a listener that comes after the loss", async (database, bed) => {
    await bed.deleteDatabase();
    await new Promise<void>((resolve) => database.onClosed(resolve));
  });

  test("can be opened anew after the database was deleted", async (database, bed) => {
    await database.add([queued()]);
    await database.putBytes("a", new Blob(["a"]));
    await bed.deleteDatabase();
    const next = await bed.open();
    assert.deepEqual(await next.all(), { records: [], unreadableIds: [] });
    assert.deepEqual(await next.bytesIds(), []);
    assert.lengthOf(await next.add([queued()]), 1);
  });
}

const unknownId = "00000000-0000-4000-8000-000000000000";

function queued(): UploadRecord {
  return { ...records.queued, id: crypto.randomUUID() };
}

/** Adds uploads and begins them under the token "t". */
async function uploading<N extends number>(database: UploadDatabase, count: N): Promise<IdsOf<N>> {
  const ids = (await database.add(Array.from({ length: count }, queued))).map(({ id }) => id);
  await database.apply(ids.map((id) => ({ id, event: { type: "begun", token: "t", key: "a.jpg" } })));
  return ids as IdsOf<N>;
}

type IdsOf<N extends number> = N extends 1
  ? [string]
  : N extends 2
    ? [string, string]
    : N extends 3
      ? [string, string, string]
      : string[];

async function apply(database: UploadDatabase, id: string, event: UploadEvent) {
  const [result] = await database.apply([{ id, event }]);
  assert.isDefined(result);
  return result;
}

function receipt(partNumber: number) {
  return { partNumber, etag: `etag-${partNumber}`, checksum: null };
}

function done(uploadId: string, partNumber: number) {
  return { uploadId, state: "done" as const, ...receipt(partNumber) };
}

function claim(uploadId: string, partNumber: number) {
  return { uploadId, partNumber, state: "sending" as const };
}

function orders(records: readonly UploadRecord[]) {
  return records.map(({ id, order }) => [id, order]);
}

async function statesOf(database: UploadDatabase) {
  const { records } = await database.all();
  return Object.fromEntries(records.map(({ id, state }) => [id, state]));
}

/** Bytes that differ from piece to piece, and with the size. */
function someBytes(size: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(size / 4));
  for (let index = 0, word = size; index < words.length; index++) {
    word = (Math.imul(word, 1_664_525) + 1_013_904_223) >>> 0;
    words[index] = word;
  }
  return new Uint8Array(words.buffer, 0, size);
}

async function holds(blob: Blob, bytes: Uint8Array): Promise<boolean> {
  const kept = new Uint8Array(await blob.arrayBuffer());
  return kept.length === bytes.length && kept.every((byte, index) => byte === bytes[index]);
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  const outcome = await promise.then(
    () => ({ error: undefined }),
    (error: unknown) => ({ error }),
  );
  assert.isDefined(outcome.error, "it should have been refused");
  return outcome.error;
}

async function assertClosed(database: UploadDatabase): Promise<void> {
  const calls: Record<
    Exclude<keyof UploadDatabase, "close" | "onClosed" | "chunkBytes">,
    Promise<unknown>
  > = {
    owner: database.owner(),
    setOwner: database.setOwner("eve"),
    partSpeed: database.partSpeed(),
    doubtParts: database.doubtParts(unknownId, "t", [1]),
    usesAuth: database.usesAuth(),
    setUsesAuth: database.setUsesAuth(true),
    setPartSpeed: database.setPartSpeed(1),
    all: database.all(),
    add: database.add([queued()]),
    apply: database.apply([{ id: unknownId, event: { type: "cancel" } }]),
    parts: database.parts(unknownId),
    allParts: database.allParts(),
    claimParts: database.claimParts(unknownId, "t", [1]),
    partsDone: database.partsDone(unknownId, "t", [receipt(1)]),
    unclaimParts: database.unclaimParts(unknownId, "t", [1]),
    bytes: database.bytes("a"),
    putBytes: database.putBytes("a", new Blob(["a"])),
    deleteBytes: database.deleteBytes(["a"]),
    bytesIds: database.bytesIds(),
  };
  const settled = Object.entries(calls).map(async ([name, call]) => [
    name,
    ((await rejection(call)) as { code?: unknown }).code,
  ]);
  assert.deepEqual(
    Object.fromEntries(await Promise.all(settled)),
    Object.fromEntries(Object.keys(calls).map((name) => [name, "DATABASE_CLOSED"])),
  );
}
