import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { UploadError } from "../../../src/core/errors.ts";
import { StorageFault } from "../../../src/core/storage.ts";
import { settlementOf } from "../../support/settlement.ts";
import { EngineBed, EPOCH, idOf, recordOf } from "./engine-bed.ts";

const busy = (retryAfterMs?: number) =>
  new StorageFault("transient", "SERVER_ERROR", retryAfterMs === undefined ? {} : { retryAfterMs });
/** The same after a moment, as answers take one. */
const slowlyBusy = async () => {
  await bed.time.sleep(10);
  throw busy();
};
const never = () => new Promise<never>(() => {});
const signInFirst = () => new StorageFault("unauthorized", "UNAUTHORIZED");

let bed: EngineBed;
beforeEach(async () => {
  bed = await EngineBed.start({ retry: { baseMs: 1_000, maxMs: 60_000 } });
});
afterEach(() => vi.restoreAllMocks());

const many = (count: number, more: object = {}) =>
  Array.from({ length: count }, (_, index) => recordOf("queued", index + 1, more));

describe("driving", () => {
  test("brings uploads to their end, and is idle then", async () => {
    await bed.load(...many(3));
    const idle = settlementOf(bed.supervisor.idle());
    expect(bed.supervisor.isBusy).toBe(true);
    bed.supervisor.drive();
    await bed.time.runUntil(10_000);
    expect([1, 2, 3].map((number) => bed.stateOf(idOf(number)))).toEqual(["done", "done", "done"]);
    expect([idle.state, bed.supervisor.isBusy, bed.supervisor.wantsWakeUp]).toEqual([
      "fulfilled",
      false,
      false,
    ]);
    expect(bed.disk.bytes.size).toBe(0);
    // Estimates end with what moves.
    expect(bed.time.nextAt).toBeUndefined();
  });

  test("begins only once this worker is the one that drives", async () => {
    await bed.load(...many(1));
    bed.supervisor.startDueWork();
    await bed.time.runUntil(60_000);
    expect(bed.s3.calls).toEqual([]);
  });

  test("goes by priority, then by turn, with no more at once than twice the parts", async () => {
    bed = await EngineBed.start({ parallelParts: 1, parallelPartsPerUpload: 1 });
    const records = many(4).map((record, index) => ({ ...record, priority: index === 3 ? 1 : 0 }));
    await bed.load(...records);
    for (let begun = 0; begun < 4; begun++) bed.s3.answer("begin", never);
    bed.supervisor.drive();
    await bed.time.settle();
    expect(bed.s3.intents.map(({ uploadId }) => uploadId)).toEqual([idOf(4), idOf(1)]);
  });

  test("ends for good when it is stopped: what is under way is broken off", async () => {
    const [upload] = await bed.load(...many(1));
    bed.s3.answer("begin", never);
    const idle = settlementOf(bed.supervisor.idle());
    bed.supervisor.drive();
    await bed.time.settle();
    bed.supervisor.stop();
    await bed.time.runUntil(60_000);
    expect([upload?.signal.aborted, idle.state]).toEqual([true, "fulfilled"]);
    expect(bed.s3.count("begin")).toBe(1);
  });

  test("tries an abort again that S3 could not do, and is done with an upload once it could", async () => {
    await bed.load(recordOf("canceled"));
    bed.s3.answer("abort", busy(), busy());
    bed.supervisor.drive();
    await bed.time.settle();
    expect(bed.s3.calls).toEqual(["abort"]);
    await bed.time.runUntil(60_000);
    expect([bed.s3.calls, bed.s3.aborted]).toEqual([["abort", "abort", "abort"], ["t1"]]);
    expect(bed.supervisor.isBusy).toBe(false);
  });
});

describe("an outage", () => {
  test("costs one request a round, however many uploads there are", async () => {
    await bed.load(...many(50));
    for (let round = 0; round < 200; round++) bed.s3.answer("begin", slowlyBusy);
    bed.supervisor.drive();
    await bed.time.runUntil(100);
    const atOnce = bed.s3.count("begin");
    await bed.time.runUntil(600_000);
    const probes = bed.s3.count("begin") - atOnce;
    expect(atOnce).toBeLessThanOrEqual(12);
    // From 0.5 s doubling to 30 s.
    expect(probes).toBeGreaterThan(10);
    expect(probes).toBeLessThan(30);
  });

  test("that is over ends for all with the first success", async () => {
    await bed.load(...many(30));
    for (let round = 0; round < 20; round++) bed.s3.answer("begin", slowlyBusy);
    bed.supervisor.drive();
    await bed.time.runUntil(200_000);
    const states = new Set([...bed.disk.uploads.values()].map(({ state }) => state));
    expect(states).toEqual(new Set(["done"]));
  });

  test("is found out about by one upload when a worker starts, and not by all", async () => {
    const [first] = await bed.load(...[1, 2, 3].map((number) => recordOf("waiting", number)));
    bed.s3.answer("sign", never);
    bed.supervisor.drive();
    await bed.time.settle();
    expect([first?.record.state, bed.s3.count("sign")]).toEqual(["uploading", 1]);
    expect([2, 3].map((number) => bed.stateOf(idOf(number)))).toEqual(["waiting", "waiting"]);
  });

  test("of the sign-in makes uploads wait for a page, and the worker is idle meanwhile", async () => {
    await bed.load(...many(5));
    for (let call = 0; call < 5; call++) bed.s3.answer("begin", signInFirst());
    bed.supervisor.drive();
    await bed.time.runUntil(20_000);
    const waiting = [...bed.disk.uploads.values()].filter(({ state }) => state === "waiting");
    expect(waiting.every((record) => record.state === "waiting" && record.reason === "auth")).toBe(true);
    expect([waiting.length, bed.supervisor.isBusy, bed.supervisor.wantsWakeUp]).toEqual([5, false, false]);
    // The user has signed in.
    bed.supervisor.tryEverything();
    await bed.time.runUntil(40_000);
    expect(bed.stateOf(idOf(5))).toBe("done");
  });

  test("of the sign-in keeps no upload from its end that S3 has whole, since its token is enough for that", async () => {
    const [, whole] = await bed.load(recordOf("queued", 1), recordOf("uploading", 2));
    bed.s3.answer("begin", signInFirst());
    bed.s3.answer("sign", signInFirst());
    bed.s3.isUnattended = true;
    bed.supervisor.drive();
    await bed.time.runUntil(10);
    expect([bed.stateOf(idOf(1)), whole?.record.state]).toEqual(["waiting", "waiting"]);
    const receipts = ["hello", ", wor", "ld"].map((text, index) => {
      const partNumber = index + 1;
      return { partNumber, etag: bed.s3.store("t2", partNumber, text), checksum: null };
    });
    await bed.handedOver.partsArrived(idOf(2), "t2", receipts);
    expect(bed.supervisor.isBusy).toBe(true);
    await bed.time.runUntil(20);
    expect([bed.stateOf(idOf(1)), bed.stateOf(idOf(2))]).toEqual(["waiting", "done"]);
    expect(bed.supervisor.isBusy).toBe(false);
  });

  test("of the sign-in keeps no upload back that has begun, since its token is enough to send it", async () => {
    await bed.load(recordOf("queued", 1), ...[2, 3, 4].map((number) => recordOf("uploading", number)));
    bed.s3.answer("begin", signInFirst());
    bed.s3.isUnattended = true;
    bed.supervisor.drive();
    await bed.time.runUntil(10_000);
    expect([1, 2, 3, 4].map((number) => bed.stateOf(idOf(number)))).toEqual([
      "waiting",
      "done",
      "done",
      "done",
    ]);
    expect([bed.s3.count("begin"), bed.supervisor.isBusy]).toEqual([1, false]);
  });

  test("of the sign-in is found out about once for each upload whose token is not enough", async () => {
    await bed.load(...[1, 2, 3, 4].map((number) => recordOf("uploading", number)));
    for (let call = 0; call < 10; call++) bed.s3.answer("sign", signInFirst());
    bed.supervisor.drive();
    await bed.time.runUntil(10_000);
    expect([bed.s3.count("sign"), bed.supervisor.isBusy]).toEqual([4, false]);
  });

  test("ends at once for whoever says that something has changed", async () => {
    await bed.load(...many(1));
    bed.s3.answer("begin", busy(3_600_000));
    bed.supervisor.drive();
    await bed.time.runUntil(60_000);
    expect(bed.stateOf(idOf(1))).toBe("waiting");
    bed.supervisor.tryEverything();
    await bed.time.runUntil(70_000);
    expect(bed.stateOf(idOf(1))).toBe("done");
  });
});

describe("the app's conditions", () => {
  const conditions = { unmetered: false, notBefore: EPOCH + 3_600_000, hours: null };

  test("that don't hold are written once for all uploads, in one transaction", async () => {
    await bed.load(...many(40, { conditions }));
    bed.supervisor.drive();
    // Asked for again while that is being written.
    for (let look = 0; look < 10; look++) {
      bed.supervisor.startDueWork();
      await Promise.resolve();
    }
    await bed.time.runUntil(60_000);
    expect(bed.writes.map((events) => events.length)).toEqual([40]);
    expect(bed.s3.calls).toEqual([]);
    expect([bed.supervisor.isBusy, bed.supervisor.wantsWakeUp]).toEqual([false, false]);
  });

  test("that hold at last start what waited for them, by another transaction", async () => {
    await bed.load(...many(3, { conditions }));
    bed.supervisor.drive();
    await bed.time.runUntil(3_599_999);
    expect(bed.s3.calls).toEqual([]);
    await bed.time.runUntil(3_610_000);
    expect(bed.writes.slice(0, 2).map((events) => [events.length, events[0]?.event.type])).toEqual([
      [3, "conditionsUnmet"],
      [3, "wake"],
    ]);
    expect(bed.stateOf(idOf(3))).toBe("done");
  });

  test("that come to fail stop what moves, which goes on once they hold", async () => {
    const wifi = { unmetered: true, notBefore: null, hours: null };
    const [upload] = await bed.load(...many(1, { conditions: wifi }));
    bed.s3.answerPut(
      ({ init }) =>
        new Promise((_resolve, reject) => {
          init.signal?.addEventListener("abort", () => reject(init.signal?.reason));
        }),
    );
    bed.supervisor.drive();
    await bed.time.settle();
    expect(upload?.record.state).toBe("uploading");
    bed.network.connection = { type: "cellular" };
    bed.supervisor.tryEverything();
    await bed.time.settle();
    expect(upload?.record).toMatchObject({ state: "waiting", reason: "conditions" });
    bed.network.connection = { type: "wifi" };
    bed.supervisor.tryEverything();
    await bed.time.runUntil(60_000);
    expect(upload?.record.state).toBe("done");
  });
});

describe("a write that is under way", () => {
  test("is not done again, and the upload is left alone until it ends", async () => {
    const conditions = { unmetered: true, notBefore: null, hours: null };
    bed.network.connection = { type: "cellular" };
    const [upload] = await bed.load(...many(1, { conditions }));
    let finish = () => {};
    const apply = bed.database.apply;
    bed.database.apply = async (events) => {
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      return apply(events);
    };
    bed.supervisor.drive();
    await bed.time.settle();
    const idle = settlementOf(bed.supervisor.idle());
    bed.network.connection = { type: "wifi" };
    bed.supervisor.tryEverything();
    await bed.time.settle();
    expect([bed.s3.calls, idle.state, upload?.isBeingWritten]).toEqual([[], "pending", true]);
    bed.database.apply = apply;
    finish();
    await bed.time.runUntil(60_000);
    expect(bed.writes.flat().filter(({ event }) => event.type === "conditionsUnmet")).toHaveLength(1);
    expect([upload?.record.state, idle.state]).toEqual(["done", "fulfilled"]);
  });
});

describe("the database", () => {
  test("that fails ends the engine", async () => {
    await bed.load(...many(1));
    bed.database.close();
    bed.supervisor.drive();
    await bed.time.settle();
    expect(bed.failures).toMatchObject([{ code: "DATABASE_CLOSED" }]);
  });

  test("that is full for a moment makes everything wait for one, and no more", async () => {
    await bed.load(...many(2));
    const apply = bed.database.apply;
    let refusals = 2;
    bed.database.apply = async (events) => {
      if (refusals-- > 0) throw new UploadError("QUOTA_EXCEEDED");
      return apply(events);
    };
    bed.supervisor.drive();
    await bed.time.settle();
    const calls = bed.s3.calls.length;
    await bed.time.runUntil(1_999);
    expect([calls, bed.s3.calls.length]).toEqual([0, 0]);
    await bed.time.runUntil(20_000);
    expect([bed.failures, bed.stateOf(idOf(1)), bed.stateOf(idOf(2))]).toEqual([[], "done", "done"]);
  });
});

describe("what the browser carries", () => {
  test("rests here as long as the rest is left to it, and is no reason to stay", async () => {
    const [upload] = await bed.load(recordOf("uploading"));
    bed.supervisor.drive();
    bed.supervisor.leavesRestToBrowser = true;
    await bed.time.runUntil(10_000);
    expect([bed.s3.calls, bed.supervisor.isBusy, upload?.record.state]).toEqual([[], false, "uploading"]);
    bed.supervisor.leavesRestToBrowser = false;
    await bed.time.runUntil(20_000);
    expect(upload?.record.state).toBe("done");
  });

  test("is completed here once every part has come", async () => {
    const [upload] = await bed.load(recordOf("uploading", 1, { laneOption: "browser", checksum: "none" }));
    bed.handedOver.setLane([idOf(1)], "browser");
    bed.supervisor.drive();
    await bed.time.runUntil(10_000);
    expect([bed.s3.calls, bed.supervisor.isBusy]).toEqual([[], false]);
    const receipts = [];
    for (const [index, text] of ["hello", ", wor", "ld"].entries()) {
      const etag = bed.s3.store("t1", index + 1, text);
      receipts.push({ partNumber: index + 1, etag, checksum: null });
    }
    await bed.handedOver.partsArrived(idOf(1), "t1", receipts);
    await bed.time.runUntil(20_000);
    expect([bed.s3.calls, upload?.record.state]).toEqual([["complete"], "done"]);
  });
});

test("the seconds left are unknown until something moves, and none where nothing is left", async () => {
  expect(bed.supervisor.secondsLeft).toBe(0);
  await bed.load(recordOf("uploading"), recordOf("paused", 2));
  expect(bed.supervisor.secondsLeft).toBeUndefined();
});

test("the speed of a part is what earlier workers have measured, until one is measured here", async () => {
  expect(bed.supervisor.partSpeed).toBeNull();
  await bed.database.setPartSpeed(5_000);
  await bed.supervisor.recall();
  expect(bed.supervisor.partSpeed).toBe(5_000);
});

test("faults are forgiven once S3 confirms something", async () => {
  const [upload] = await bed.load(recordOf("uploading", 1, { attempts: 3 }));
  bed.supervisor.progressed(idOf(1), [1]);
  bed.supervisor.progressed(idOf(9), [1]);
  await bed.time.runUntil(1_000);
  expect(upload?.record.attempts).toBe(0);
  expect(bed.posted).toMatchObject([{ type: "partsDone", partNumbers: [1] }, { type: "changed" }]);
});
