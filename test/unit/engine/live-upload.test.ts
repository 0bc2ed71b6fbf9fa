import { beforeEach, describe, expect, test } from "vitest";
import { LiveUpload } from "../../../sw/engine/live-upload.ts";
import type { Uploading, UploadRecord, Waiting } from "../../../sw/model/record.ts";
import { records } from "../records.ts";

/** The device's clock, which can be set, beside the one that nobody sets. */
const clock = { device: 100_000, life: 500, now: () => clock.device, elapsed: () => clock.life };
const pass = (ms: number) => {
  clock.device += ms;
  clock.life += ms;
};
const waiting = (more: Partial<Waiting> = {}): Waiting => ({
  ...records.waiting,
  updatedAt: 100_000,
  nextAttemptAt: 110_000,
  ...more,
});
const live = (record: UploadRecord) => new LiveUpload(record, clock);

beforeEach(() => {
  clock.device = 100_000;
  clock.life = 500;
});

describe("a wait", () => {
  test("ends after the time that was planned, by the clock that nobody sets", () => {
    const upload = live(waiting());
    expect(upload.dueAt).toBe(10_500);
    pass(4_000);
    upload.record = waiting();
    expect(upload.dueAt).toBe(10_500);
  });

  test.each([-3_600_000, -1, 3_600_000])("is not changed by setting the device's clock by %i ms", (ms) => {
    const upload = live(waiting());
    clock.device += ms;
    expect(upload.dueAt).toBe(10_500);
  });

  test("read by a later worker is never longer than planned, though the clock was set back", () => {
    clock.device -= 3_600_000;
    expect(live(waiting()).dueAt).toBe(10_500);
  });

  test("read by a later worker is over if its time has passed, or the clock was set forward", () => {
    clock.device += 3_600_000;
    expect(live(waiting()).dueAt).toBe(500);
  });

  test("planned for before it began is over", () => {
    expect(live(waiting({ nextAttemptAt: 90_000 })).dueAt).toBe(500);
  });

  test.each([
    ["for nothing that a clock brings", waiting({ reason: "file", nextAttemptAt: null })],
    ["of an upload that does not wait", records.uploading],
  ])("%s never ends by itself", (_what, record) => {
    const upload = live(record);
    upload.makeDue();
    expect(upload.dueAt).toBe(Number.POSITIVE_INFINITY);
  });

  test("gets shorter once the way is open for all, down to what the upload has of its own", () => {
    const upload = live(waiting());
    upload.shortenWait();
    expect(upload.dueAt).toBe(10_500);
    upload.ownDueAt = 2_500;
    upload.shortenWait();
    expect(upload.dueAt).toBe(2_500);
    upload.ownDueAt = 9_000;
    upload.shortenWait();
    expect(upload.dueAt).toBe(2_500);
  });

  test("is over when what it waits for may have come", () => {
    const upload = live(waiting());
    pass(1_000);
    upload.makeDue();
    expect(upload.dueAt).toBe(1_500);
  });
});

describe("a live upload", () => {
  test("that was halted is ready for a new driver once it is restarted, and not before", () => {
    const upload = live(records.uploading);
    const { signal } = upload;
    upload.halt();
    expect([signal.aborted, upload.signal.aborted]).toEqual([true, true]);
    upload.restart();
    expect([signal.aborted, upload.signal.aborted]).toEqual([true, false]);
    const going = upload.signal;
    upload.restart();
    expect(upload.signal).toBe(going);
  });

  test("restarted with rows counts by them", () => {
    const upload = live(records.uploading);
    upload.partFound({ partNumber: 1, etag: "a", checksum: null });
    expect(upload.report().partsDone).toBe(1);
    upload.restart([]);
    expect(upload.report()).toMatchObject({ partsDone: 0, uploadedBytes: 0 });
  });

  test("gives what was presigned as it began once, and to nobody who sends under another token", () => {
    const upload = live(records.uploading);
    const presigned = { parts: [], askedAt: 5 };
    upload.begun("t", presigned);
    expect(upload.takePresigned("t")).toMatchObject(presigned);
    expect(upload.takePresigned("t")).toBeUndefined();
    upload.begun("t", presigned);
    expect(upload.takePresigned("another")).toBeUndefined();
  });

  test("tells who sends its parts what has arrived by another way, until that is undone", () => {
    const upload = live(records.uploading);
    let told = 0;
    const undo = upload.onConfirmedElsewhere(() => {
      told += 1;
    });
    upload.confirmedElsewhere();
    undo();
    upload.confirmedElsewhere();
    expect(told).toBe(1);
  });

  test.each([
    ["browser", "browser", true],
    ["browser", "worker", false],
    ["auto", "browser", false],
  ] as const)(
    "of the option %s that the %s carries is left to the browser: %s",
    (laneOption, lane, isLeft) => {
      const upload = live({ ...records.uploading, laneOption } satisfies Uploading);
      upload.lane = lane;
      expect(upload.isLeftToBrowser).toBe(isLeft);
    },
  );
});

describe("the progress of a live upload", () => {
  const MIB = 1024 * 1024;
  const receiptOf = (partNumber: number) => ({ partNumber, etag: "a", checksum: null });
  /** 5 MiB were sent within a second, and parts 2 and 3 are on their way for another one. */
  const moving = () => {
    const upload = live(records.uploading);
    for (let part = 1; part <= 3; part++) upload.ledger.startNext();
    pass(1_000);
    upload.partSent(receiptOf(1));
    upload.report();
    pass(1_000);
    return upload;
  };

  test("counts what was found at S3, but not as speed", () => {
    const upload = live(records.uploading);
    pass(1_000);
    upload.partFound(receiptOf(1));
    expect(upload.report()).toMatchObject({
      uploadedBytes: 5 * MIB,
      estimatedBytes: 5 * MIB,
      bytesPerSecond: null,
      etaSeconds: null,
    });
  });

  test.each<[string, (upload: LiveUpload) => void]>([
    ["a part is confirmed", (upload) => upload.partSent(receiptOf(2))],
    ["a part has to be sent again", (upload) => upload.ledger.giveBack(2)],
    ["a part is looked up", (upload) => upload.ledger.doubt(2, 0)],
    ["another driver goes on", (upload) => upload.restart()],
    ["S3 lacks parts that it had confirmed", (upload) => upload.restart([])],
    ["it is paused", (upload) => Object.assign(upload, { record: records.paused })],
    ["the browser carries it on", (upload) => Object.assign(upload, { lane: "browser" })],
    ["the device's clock is set back", () => Object.assign(clock, { device: clock.device - 3_600_000 })],
  ])("does not go back when %s", (_what, happens) => {
    const upload = moving();
    const before = upload.report().estimatedBytes;
    expect(before).toBe(10 * MIB);
    happens(upload);
    expect(upload.report().estimatedBytes).toBeGreaterThanOrEqual(before);
  });

  test("begins anew with an upload that S3 has dropped", () => {
    const upload = moving();
    upload.report();
    upload.record = records.queued;
    upload.restart([]);
    expect(upload.report()).toMatchObject({ uploadedBytes: 0, estimatedBytes: 0 });
  });

  test("stands still in a stall, at a speed of 0 and for a time that nobody knows", () => {
    const upload = moving();
    expect(upload.report()).toMatchObject({ bytesPerSecond: 5 * MIB, etaSeconds: 1 });
    pass(600_000);
    expect(upload.report()).toMatchObject({ bytesPerSecond: 0, etaSeconds: null });
    expect(upload.bytesPerSecond).toBe(0);
  });
});
