import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { UploadErrorCode } from "../../../src/core/errors.ts";
import { type FaultKind, StorageFault } from "../../../src/core/storage.ts";
import type { LiveUpload } from "../../../sw/engine/live-upload.ts";
import { EngineBed, EPOCH, idOf, recordOf } from "./engine-bed.ts";

let bed: EngineBed;
beforeEach(async () => {
  bed = await EngineBed.start({ retry: { baseMs: 1_000, maxMs: 60_000 } });
});
afterEach(() => vi.restoreAllMocks());

const fault = (kind: FaultKind, code: UploadErrorCode = "SERVER_ERROR") => new StorageFault(kind, code);
/** Drives this upload for so long. */
async function driven(record: Parameters<EngineBed["load"]>[0], ms = 0): Promise<LiveUpload> {
  const [upload] = (await bed.load(record as never)) as [LiveUpload];
  bed.supervisor.drive();
  await bed.time.runUntil(ms);
  return upload;
}
const eventTypes = () => bed.writes.flat().map(({ event }) => event.type);

describe("an upload", () => {
  test("is begun, sent and completed, and each step is written before the next", async () => {
    const { record } = await driven(recordOf("queued"));
    expect(eventTypes()).toEqual(["beginning", "begun", "sent", "completed"]);
    expect(record).toMatchObject({ state: "done", object: { key: "a.jpg", size: 12 } });
    expect(bed.s3.intents).toMatchObject([{ uploadId: idOf(1), size: 12, triedForMs: null }]);
  });

  test("whose begin was not answered says since when it has been tried", async () => {
    await driven(recordOf("queued", 1, { remote: { at: "asked", since: EPOCH - 7_000 } }));
    expect(bed.s3.intents).toMatchObject([{ triedForMs: 7_000 }]);
  });

  test("is not begun if it was halted while that was written: another worker may drive it", async () => {
    const [upload] = (await bed.load(recordOf("queued"))) as [LiveUpload];
    const { database } = bed;
    const apply = database.apply.bind(database);
    vi.spyOn(database, "apply").mockImplementationOnce(async (events) => {
      const applied = await apply(events);
      upload.halt();
      bed.supervisor.stop();
      return applied;
    });
    bed.supervisor.drive();
    await bed.time.settle();
    expect([bed.s3.calls, upload.record]).toMatchObject([[], { state: "queued", remote: { at: "asked" } }]);
  });

  test("is not begun where that can't be written", async () => {
    await bed.load(recordOf("queued"));
    bed.database.close();
    bed.supervisor.drive();
    await bed.time.settle();
    expect(bed.s3.calls).toEqual([]);
  });

  test("is not failed by what was answered after it was halted: that may be of the next user's session", async () => {
    const [upload] = (await bed.load(recordOf("completing"))) as [LiveUpload];
    bed.s3.answer("complete", async () => {
      upload.halt();
      bed.supervisor.stop();
      throw fault("permanent", "FORBIDDEN");
    });
    bed.supervisor.drive();
    await bed.time.settle();
    expect([upload.record.state, upload.driving]).toEqual(["completing", undefined]);
  });

  test("that came out with another size is no success", async () => {
    const upload = (await bed.load(recordOf("completing")))[0] as LiveUpload;
    bed.supervisor.drive();
    await bed.time.settle();
    expect(upload.record).toMatchObject({ state: "failed", error: { code: "VERIFICATION_FAILED" } });
    expect(bed.s3.aborted).toEqual([]);
  });
});

describe("a fault", () => {
  test.each([
    // kind, code, state, what it waits for
    ["network", "NETWORK", "waiting", "backoff"],
    ["transient", "SERVER_ERROR", "waiting", "backoff"],
    ["unauthorized", "UNAUTHORIZED", "waiting", "auth"],
    ["permanent", "FORBIDDEN", "failed", undefined],
    ["permanent", "TOKEN_INVALID", "waiting", "backoff"],
  ] as const)("of kind %s, %s makes the upload be %s", async (kind, code, state, reason) => {
    bed.s3.answer("begin", fault(kind, code));
    const { record } = await driven(recordOf("queued"));
    expect(record).toMatchObject({ state, error: { code } });
    expect(record.state === "waiting" ? record.reason : undefined).toBe(reason);
  });

  test("of the network waits for the network where the browser has none", async () => {
    bed.network.isOnline = false;
    bed.s3.answer("begin", fault("network", "NETWORK"));
    const { record } = await driven(recordOf("queued"));
    expect(record).toMatchObject({ state: "waiting", reason: "offline" });
  });

  test("that the storage has forgotten the upload, or its token, begins it anew", async () => {
    for (const [kind, code] of [
      ["gone", "UPLOAD_GONE"],
      ["permanent", "TOKEN_EXPIRED"],
    ] as const)
      bed.s3.answer("complete", fault(kind, code));
    const { record } = await driven(recordOf("queued"), 5_000);
    expect([record.state, bed.s3.count("begin"), bed.s3.count("put")]).toEqual(["done", 3, 9]);
  });

  test("that S3 forgets the upload again and again makes it rest", async () => {
    for (let times = 0; times < 4; times++) bed.s3.answer("complete", fault("gone", "UPLOAD_GONE"));
    const { record } = await driven(recordOf("queued"));
    expect(record).toMatchObject({ state: "waiting", reason: "backoff", error: { code: "UPLOAD_GONE" } });
    expect(bed.s3.count("begin")).toBe(4);
  });

  test("that takes back again and again what was confirmed is waited out, longer each time", async () => {
    for (let times = 0; times < 50; times++)
      bed.s3.answer("complete", fault("partsMismatch", "PARTS_MISMATCH"));
    await driven(recordOf("completing"), 600_000);
    // At once three times, then after 1, 2, 4, … 32 s, and each minute; a half less by the dice.
    expect(bed.s3.count("complete")).toBeLessThan(32);
    expect(bed.s3.count("complete")).toBeGreaterThan(10);
  });

  test("that parts are missing at completion has them looked up, and sends what S3 lacks", async () => {
    bed.s3.answer("complete", fault("partsMismatch", "PARTS_MISSING" as UploadErrorCode));
    const { record } = await driven(recordOf("queued"), 5_000);
    expect(record.state).toBe("done");
    expect([bed.s3.count("uploadedParts"), bed.s3.count("put"), bed.s3.count("complete")]).toEqual([1, 3, 2]);
  });

  test("that a token can't be read is believed after eight tries, and then the upload begins anew", async () => {
    for (let times = 0; times < 8; times++) bed.s3.answer("complete", fault("permanent", "TOKEN_INVALID"));
    const { record } = await driven(recordOf("queued"), 30_000);
    expect([record.state, bed.s3.count("begin")]).toEqual(["waiting", 1]);
    await bed.time.runUntil(600_000);
    expect([bed.roster.get(idOf(1))?.record.state, bed.s3.count("begin")]).toEqual(["done", 2]);
  });

  test("that keeps on failing never makes the upload fail: it is retried for as long as it takes", async () => {
    for (let times = 0; times < 40; times++) bed.s3.answer("complete", fault("transient"));
    const upload = await driven(recordOf("queued"), 900_000);
    expect(upload.record).toMatchObject({ state: "waiting", reason: "backoff" });
    await bed.time.runUntil(3 * 3_600_000);
    expect([upload.record.state, bed.s3.count("put")]).toEqual(["done", 3]);
  });

  test("of the file waits for the file", async () => {
    const [upload] = (await bed.load(recordOf("uploading"))) as [LiveUpload];
    bed.disk.bytes.clear();
    bed.supervisor.drive();
    await bed.time.settle();
    expect(upload.record).toMatchObject({
      state: "waiting",
      reason: "file",
      nextAttemptAt: null,
      error: { code: "FILE_LOST" },
    });
    expect(bed.supervisor.isBusy).toBe(false);
  });

  test("that is a bug in here is logged, and retried: nothing of the upload is lost", async () => {
    const logged = vi.spyOn(console, "error").mockImplementation(() => {});
    bed.s3.answer("begin", new TypeError("undefined is not a function"));
    const upload = await driven(recordOf("queued"));
    expect(upload.record).toMatchObject({ state: "waiting", error: { code: "INTERNAL" } });
    expect(logged).toHaveBeenCalledOnce();
    await bed.time.runUntil(60_000);
    expect(upload.record.state).toBe("done");
  });
});

describe("a canceled upload", () => {
  test("is aborted at S3", async () => {
    const { record } = await driven(recordOf("canceled"));
    expect([bed.s3.aborted, record]).toMatchObject([["t1"], { state: "canceled", remote: { at: "none" } }]);
  });

  test("whose begin was not answered is begun again so that it can be aborted", async () => {
    await driven(recordOf("canceled", 1, { remote: { at: "asked", since: EPOCH - 1_000 } }), 1_000);
    expect([bed.s3.calls, bed.s3.aborted]).toEqual([["begin", "abort"], ["t1"]]);
  });

  test("is not let go of by a refusal of the next user's session", async () => {
    const [upload] = (await bed.load(recordOf("canceled"))) as [LiveUpload];
    bed.s3.answer("abort", async () => {
      await bed.roster.setOwner("next");
      throw fault("permanent", "FORBIDDEN");
    });
    bed.supervisor.drive();
    await bed.time.runUntil(60_000);
    expect([bed.s3.calls, upload.record]).toMatchObject([["abort"], { remote: { at: "open" } }]);
    await bed.roster.setOwner("");
    bed.supervisor.startDueWork();
    await bed.time.runUntil(120_000);
    expect([bed.s3.aborted, upload.record]).toMatchObject([["t1"], { remote: { at: "none" } }]);
  });

  test("that S3 refuses to abort for good is let go of", async () => {
    const warned = vi.spyOn(console, "warn").mockImplementation(() => {});
    bed.s3.answer("abort", fault("permanent", "FORBIDDEN"));
    const { record } = await driven(recordOf("canceled"), 60_000);
    expect([bed.s3.calls, record]).toMatchObject([["abort"], { remote: { at: "none" } }]);
    expect(warned).toHaveBeenCalledOnce();
  });
});
