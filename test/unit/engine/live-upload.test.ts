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
    upload.partDone({ partNumber: 1, etag: "a", checksum: null });
    expect(upload.snapshot().partsDone).toBe(1);
    upload.restart([]);
    expect(upload.snapshot()).toMatchObject({ partsDone: 0, uploadedBytes: 0 });
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
