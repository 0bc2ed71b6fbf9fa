import { beforeEach, describe, expect, test } from "vitest";
import { RETRY_POLICY } from "../../../src/core/options.ts";
import { StorageFault } from "../../../src/core/storage.ts";
import type { LiveUpload } from "../../../sw/engine/live-upload.ts";
import { Breaker } from "../../../sw/model/breaker.ts";
import type { Uploading } from "../../../sw/model/record.ts";
import { PartPace } from "../../../sw/parts/pace.ts";
import { type SendContext, sendParts } from "../../../sw/parts/send-parts.ts";
import { noAnswer } from "../../support/scripted-fetch.ts";
import { type Settlement, settlementOf } from "../../support/settlement.ts";
import { EngineBed, idOf, recordOf, TEXT } from "./engine-bed.ts";
import { refusal } from "./small-s3.ts";
import { etagOf, nodeMd5, TextBlob } from "./text-blob.ts";

const PARTS = ["hello", ", wor", "ld"] as const;
const busy = () => new StorageFault("transient", "SERVER_ERROR");

let bed: EngineBed;
let upload: LiveUpload;
let file: TextBlob;
let context: SendContext;
let opened: number;
let progress: number[];

beforeEach(async () => {
  bed = await EngineBed.start();
  [upload] = (await bed.load(recordOf("uploading"))) as [LiveUpload];
  file = new TextBlob(TEXT);
  opened = 0;
  progress = [];
  context = {
    platform: bed.platform,
    database: bed.database,
    storage: bed.s3,
    pace: new PartPace({
      clock: bed.clock,
      capacity: 6,
      perUpload: 6,
      compare: () => 0,
      onChange() {},
    }),
    s3: new Breaker(RETRY_POLICY),
    retry: RETRY_POLICY,
    stallTimeoutMs: 60_000,
    algorithmOf: (kind) => [nodeMd5].find((algorithm) => algorithm.kind === kind),
    onOpened: () => {
      opened += 1;
    },
    onProgress: (_id, partNumbers) => void progress.push(...partNumbers),
    trace: (step) => void bed.steps.push(step),
  };
});

type End = Awaited<ReturnType<typeof sendParts>>;
const send = (): Settlement<End> =>
  settlementOf(sendParts(upload, upload.record as Uploading, file, context));
/** Sends, and gives how that has ended by then. */
async function sent(ms = 1_000): Promise<Settlement<End>> {
  const settlement = send();
  await bed.time.runUntil(bed.time.elapsed + ms);
  return settlement;
}
const rowsOf = () => [...(bed.disk.parts.get(idOf(1))?.values() ?? [])];
/** Claims parts as a worker does before it dies. */
async function claim(...partNumbers: number[]): Promise<void> {
  await bed.database.claimParts(idOf(1), "t1", partNumbers);
  await bed.roster.load();
}

describe("sending", () => {
  test("sends each part once, by one question for signatures, and notes what S3 has", async () => {
    const { value } = await sent();
    expect(bed.s3.calls.toSorted()).toEqual(["put 1", "put 2", "put 3", "sign"]);
    expect(progress.toSorted()).toEqual([1, 2, 3]);
    // The receipt of the part that came last is left to whoever notes that all are sent.
    const receipts = value?.type === "sent" ? value.receipts : [];
    expect(receipts).toHaveLength(1);
    await bed.database.partsDone(upload.id, "t1", receipts);
    expect(rowsOf()).toMatchObject(PARTS.map((text) => ({ state: "done", etag: etagOf(text) })));
  });

  test("keeps all places taken: the next part starts as soon as one has arrived", async () => {
    bed.s3.answerPut(noAnswer);
    const sending = send();
    await bed.time.settle();
    expect(bed.s3.calls.slice(1)).toEqual(["put 1", "put 2", "put 3"]);
    expect([sending.state, progress]).toEqual(["pending", [2, 3]]);
  });

  test("needs the upload's algorithm", async () => {
    const record = recordOf("uploading", 1, { checksum: "sha256" }) as Uploading;
    await expect(sendParts(upload, record, file, context)).rejects.toMatchObject({
      code: "CHECKSUM_UNAVAILABLE",
      detail: "sha256",
    });
  });

  test("ends with the file's error where the file can't be read any more", async () => {
    file.content.isUnreadable = true;
    expect((await sent()).error).toMatchObject({ code: "FILE_LOST" });
    expect(bed.s3.count("put")).toBe(0);
  });

  test("stops where another version of the worker has paused the upload: nothing is sent", async () => {
    bed.disk.uploads.set(idOf(1), recordOf("paused"));
    expect(await sent()).toMatchObject({ value: { type: "unfinished" } });
    expect(bed.s3.count("put")).toBe(0);
    expect(upload.ledger.upcoming(9)).toEqual([1, 2, 3]);
  });

  test("that is halted leaves what was on its way in doubt", async () => {
    bed.s3.answerPut(noAnswer, noAnswer);
    const sending = send();
    await bed.time.settle();
    upload.halt();
    await bed.time.settle();
    expect(sending.value).toEqual({ type: "unfinished" });
    expect(upload.ledger.doubtfulAt(bed.time.elapsed)).toEqual([1, 2]);
    expect(rowsOf()).toMatchObject([{ state: "sending" }, { state: "sending" }]);
  });

  test("breaks off what has arrived by another way", async () => {
    bed.s3.answerPut(noAnswer, noAnswer);
    upload.partFound({ partNumber: 3, etag: etagOf("ld"), checksum: "x" });
    const sending = send();
    await bed.time.settle();
    expect(sending.state).toBe("pending");
    for (const partNumber of [1, 2]) upload.partFound({ partNumber, etag: "e", checksum: "x" });
    upload.confirmedElsewhere();
    await bed.time.settle();
    expect(sending.value).toEqual({ type: "sent", receipts: [] });
  });
});

describe("parts in doubt", () => {
  test("are looked up first, in one go, and only what S3 lacks is sent", async () => {
    bed.s3.store("t1", 1, PARTS[0]);
    await claim(1, 2);
    expect(await sent()).toMatchObject({ value: { type: "sent" } });
    expect(bed.s3.count("uploadedParts")).toBe(1);
    expect(bed.s3.calls.filter((call) => call.startsWith("put")).toSorted()).toEqual(["put 2", "put 3"]);
    expect(bed.steps).toContainEqual({ type: "lookedUp", id: idOf(1), asked: 2, found: 1 });
  });

  test("stay in doubt if they were handed over while S3 answered that it lacks them", async () => {
    await claim(1, 2);
    const answered = () => bed.time.sleep(100).then(() => ({ parts: [], next: null }));
    bed.s3.answer("uploadedParts", answered);
    send();
    await bed.time.runUntil(50);
    await bed.handedOver.rangesInDoubt([{ uploadId: idOf(1), first: 1, count: 1 }], 60_000);
    await bed.time.runUntil(1_000);
    expect(bed.s3.calls.filter((call) => call.startsWith("put")).toSorted()).toEqual(["put 2", "put 3"]);
    expect([upload.ledger.nextDoubtAt, bed.disk.parts.get(idOf(1))?.get(1)?.state]).toEqual([
      60_050,
      "sending",
    ]);
    // The browser has stored it.
    bed.s3.store("t1", 1, PARTS[0]);
    await bed.time.runUntil(70_000);
    expect([upload.ledger.isComplete, bed.s3.count("put")]).toEqual([true, 2]);
  });

  test("that S3 has by halves are sent again", async () => {
    bed.s3.store("t1", 1, "hel");
    await claim(1);
    expect(await sent()).toMatchObject({ value: { type: "sent" } });
    expect(bed.s3.calls).toContain("put 1");
  });

  test("that can't be looked up now hold up no others, and the rest waits for them", async () => {
    await claim(1);
    bed.s3.answer("uploadedParts", busy());
    expect((await sent()).value).toMatchObject({
      type: "rest",
      ownMs: 500,
      fault: { code: "SERVER_ERROR" },
    });
    expect(bed.s3.calls.filter((call) => call.startsWith("put")).toSorted()).toEqual(["put 2", "put 3"]);
  });

  test("of an upload that is gone end the sending", async () => {
    await claim(1);
    const gone = new StorageFault("gone", "UPLOAD_GONE");
    bed.s3.answer("uploadedParts", gone);
    expect((await sent()).error).toBe(gone);
  });
});

describe("what others have sent", () => {
  const foreign = (etag: string) => upload.partFound({ partNumber: 1, etag, checksum: null });

  test("is compared with the bytes here, and not sent again if they are equal", async () => {
    foreign(etagOf(PARTS[0]));
    expect(await sent()).toMatchObject({ value: { type: "sent" } });
    expect(bed.s3.calls).not.toContain("put 1");
    expect(rowsOf().find(({ partNumber }) => partNumber === 1)).toMatchObject({
      checksum: await nodeMd5.digest?.(file.slice(0, 5)),
    });
  });

  test("is to be sent again if they differ", async () => {
    foreign(etagOf("HELLO"));
    expect(await sent()).toMatchObject({ value: { type: "unfinished" } });
    expect(upload.ledger.upcoming(9)).toEqual([1]);
    expect(bed.steps).toContainEqual({ type: "partDamaged", id: idOf(1), partNumber: 1 });
    expect(await sent()).toMatchObject({ value: { type: "sent" } });
  });
});

describe("a fault of S3's", () => {
  test("that it is busy shuts its gate: nothing new is sent, and nothing is in doubt", async () => {
    bed.s3.answerPut(refusal(503, "SlowDown"), refusal(503, "SlowDown"));
    expect((await sent()).value).toMatchObject({ type: "rest", ownMs: 0, fault: { code: "SLOW_DOWN" } });
    expect([bed.s3.count("put"), context.s3.isOpen]).toEqual([2, true]);
    expect([upload.ledger.nextDoubtAt, upload.ledger.upcoming(9)]).toEqual([undefined, [1, 2, 3]]);
  });

  test("that may have stored the part leaves it in doubt until its time has come", async () => {
    bed.s3.answerPut(refusal(500), refusal(500));
    const { value } = await sent();
    expect(value).toMatchObject({ type: "rest", ownMs: 0, fault: { code: "SERVER_ERROR" } });
    expect(upload.ledger.doubtfulAt(bed.time.elapsed)).toEqual([1, 2]);
    expect(await sent(60_000)).toMatchObject({ value: { type: "sent" } });
    expect([context.s3.isOpen, opened, bed.s3.count("uploadedParts")]).toEqual([false, 1, 1]);
  });

  test("that some other upload has found out about lets this one send nothing", async () => {
    context.pace.failed(busy());
    context.s3.failed(0, 0, 0);
    expect((await sent()).value).toMatchObject({ type: "rest", ownMs: 0, fault: { code: "SERVER_ERROR" } });
    expect(bed.s3.calls).toEqual([]);
  });

  test("that no retry mends ends the sending, and breaks off what is on its way", async () => {
    bed.s3.answerPut(noAnswer, refusal(400, "InvalidArgument"));
    expect((await sent()).error).toMatchObject({ kind: "permanent", code: "FORBIDDEN" });
    expect(upload.ledger.flyingParts.size).toBe(0);
    expect(context.s3.isOpen).toBe(false);
  });

  test.each(["BadDigest", "NoSuchUpload"])("that is one part's own (%s) shuts nothing", async (s3Code) => {
    bed.s3.answerPut(refusal(400, s3Code));
    const { value } = await sent();
    expect([value, context.s3.isOpen]).toMatchObject([{ type: "rest", ownMs: 500 }, false]);
    expect(progress.toSorted()).toEqual([2, 3]);
    expect(await sent()).toMatchObject({ value: { type: "sent" } });
    expect(bed.s3.calls.filter((call) => call === "put 1")).toHaveLength(2);
  });

  test("that another object has the name is final the second time, when the look-up has shown it", async () => {
    const exists = () => refusal(412, "PreconditionFailed");
    for (const partNumber of [2, 3]) upload.partFound({ partNumber, etag: "e", checksum: "x" });
    bed.s3.answerPut(exists, exists);
    expect((await sent()).value).toMatchObject({ type: "rest", fault: { code: "OBJECT_EXISTS" } });
    expect((await sent()).error).toMatchObject({ kind: "permanent", code: "OBJECT_EXISTS" });
  });

  test("that it can't be reached is told from a network that is gone by the app's server's answers", async () => {
    const codes: unknown[] = [];
    for (const partNumber of [2, 3]) upload.partFound({ partNumber, etag: "e", checksum: "x" });
    for (let round = 0; round < 3; round++) {
      bed.s3.answerPut(new TypeError("Failed to fetch"));
      const { value } = await sent(0);
      codes.push(value?.type === "rest" ? value.fault.code : value);
      await bed.time.runUntil(bed.time.elapsed + 60_000);
    }
    expect(codes).toEqual(["NETWORK", "NETWORK", "STORAGE_UNREACHABLE"]);
  });
});

describe("a signature that S3 refuses", () => {
  const denied = () => refusal(403, "AccessDenied");

  test("is asked for anew after a look-up, by which the app's server learns of S3's clock", async () => {
    bed.s3.answerPut(denied);
    expect(await sent()).toMatchObject({ value: { type: "sent" } });
    expect([bed.s3.count("uploadedParts"), bed.s3.count("sign"), bed.s3.count("put")]).toEqual([1, 2, 4]);
  });

  test("for the third time in a row means that the part is denied", async () => {
    bed.s3.answerPut(...Array(9).fill(denied));
    expect((await sent()).error).toMatchObject({
      kind: "permanent",
      code: "FORBIDDEN",
      detail: "403 AccessDenied",
    });
    // Three parts, each no more than three times.
    expect(bed.s3.count("put")).toBeLessThanOrEqual(9);
  });
});

describe("an ETag that is not the bytes' MD5", () => {
  test("is believed from then on where S3 lists the part so: SSE-KMS", async () => {
    bed.s3.etag = "kms";
    expect(await sent()).toMatchObject({ value: { type: "sent" } });
    expect([upload.etagsAreOpaque, bed.s3.count("put")]).toEqual([true, 3]);
  });

  test("is put right where S3 lists the MD5: something has changed the answer on its way", async () => {
    bed.s3.store("t1", 1, PARTS[0]);
    bed.s3.answerPut(() => new Response(null, { headers: { etag: '"changed"' } }));
    expect(await sent()).toMatchObject({ value: { type: "sent" } });
    expect([upload.etagsAreOpaque, bed.s3.count("put")]).toEqual([false, 3]);
    expect(rowsOf().find(({ partNumber }) => partNumber === 1)).toMatchObject({ etag: etagOf(PARTS[0]) });
  });

  test("makes the part be sent again where S3 lists a third", async () => {
    bed.s3.store("t1", 1, PARTS[0], "third");
    bed.s3.answerPut(() => new Response(null, { headers: { etag: '"changed"' } }));
    expect(await sent(60_000)).toMatchObject({ value: { type: "sent" } });
    expect(bed.s3.calls.filter((call) => call === "put 1")).toHaveLength(2);
  });
});
