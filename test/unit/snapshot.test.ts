import { describe, expect, test } from "vitest";
import type { Lane } from "../../src/core/snapshot.ts";
import type { UploadState } from "../../src/core/states.ts";
import { PartLedger } from "../../sw/model/part-ledger.ts";
import { type Progress, startProgress } from "../../sw/model/progress.ts";
import type { UploadRecord } from "../../sw/model/record.ts";
import { snapshotOf } from "../../sw/model/snapshot.ts";
import { fault, object, records } from "./records.ts";

const MIB = 1024 * 1024;
const states = Object.keys(records) as UploadState[];

const PROGRESS: Progress = {
  bytesPerSecond: MIB,
  usualMs: 1_000,
  pendingBytes: 0,
  sampledAt: 1_000,
  shownBytes: 6 * MIB,
  shownAt: 2_000,
};

/** Part 1 confirmed, part 2 flying for a second at 1 MiB/s. */
function halfSent(record: UploadRecord, lane: Lane = "worker") {
  const ledger = new PartLedger(record.plan);
  ledger.startNext();
  ledger.startNext();
  ledger.doubt(3, 5_000, { code: "STALLED", detail: "" });
  ledger.done({ partNumber: 1, etag: "e1", checksum: null });
  return snapshotOf({ record, ledger, lane, faults: 3 }, PROGRESS, 2_000);
}

test.each(states)("%s: a snapshot has the fields of every state", (state) => {
  const { id, order, key, name, type, owner, durability, attempts, createdAt, updatedAt, plan } =
    records[state];
  expect(halfSent(records[state])).toMatchObject({
    id,
    order,
    key,
    name,
    type,
    owner,
    state,
    durability,
    attempts,
    createdAt,
    updatedAt,
    size: plan.size,
    partSize: plan.partSize,
    partsTotal: plan.partCount,
  });
});

describe("fields that have a value in some states only, and are null in all others", () => {
  type Snapshot = ReturnType<typeof halfSent>;
  const tellers: { [K in keyof Snapshot]?: Partial<Record<UploadState, Snapshot[K]>> } = {
    reason: { paused: "user", waiting: "backoff" },
    lane: { uploading: "worker" },
    bytesPerSecond: { uploading: MIB },
    etaSeconds: { uploading: 6 },
    nextAttemptAt: { waiting: 9_000 },
    error: { waiting: fault, failed: fault },
    object: { done: object },
  };
  const cases = Object.entries(tellers).flatMap(([field, told]) =>
    states.map((state) => [field as keyof Snapshot, state, told[state] ?? null] as const),
  );
  test.each(cases)("%s in %s", (field, state, value) => {
    expect(halfSent(records[state])[field]).toEqual(value);
  });

  test("no other field is ever null", () => {
    for (const state of states)
      for (const [field, value] of Object.entries(halfSent(records[state])))
        if (!(field in tellers)) expect(value, field).not.toBeNull();
  });
});

test("faults are counted, and parts in trouble are named with their last one", () => {
  expect(halfSent(records.uploading)).toMatchObject({
    faults: 3,
    troubledParts: [{ partNumber: 3, attempts: 1, error: { code: "STALLED", detail: "" } }],
  });
});

describe("bytes and parts", () => {
  test("an upload that is being sent counts an estimate of the running parts", () => {
    const { uploadedBytes, estimatedBytes, partsDone } = halfSent(records.uploading);
    expect([uploadedBytes, estimatedBytes, partsDone]).toEqual([5 * MIB, 6 * MIB, 1]);
  });

  test("while resting, what was shown as on its way stays shown, so that no bar goes back", () => {
    for (const state of ["queued", "completing", "paused", "waiting", "failed", "canceled"] as const) {
      const { uploadedBytes, estimatedBytes, partsDone } = halfSent(records[state]);
      expect([uploadedBytes, estimatedBytes, partsDone], state).toEqual([5 * MIB, 6 * MIB, 1]);
    }
  });

  test("the speed of what the browser carries is unknown, and so is the time that it takes", () => {
    const { bytesPerSecond, etaSeconds } = halfSent(records.uploading, "browser");
    expect([bytesPerSecond, etaSeconds]).toEqual([null, null]);
  });

  test("a done upload counts all bytes, though the parts' rows are gone", () => {
    const ledger = new PartLedger(records.done.plan);
    expect(
      snapshotOf({ record: records.done, ledger, lane: "worker", faults: 0 }, startProgress(0, 0), 0),
    ).toMatchObject({
      uploadedBytes: 12 * MIB,
      estimatedBytes: 12 * MIB,
      partsDone: 3,
    });
  });
});

test("a snapshot is plain data: a structured clone is the same", () => {
  for (const state of states)
    expect(structuredClone(halfSent(records[state]))).toEqual(halfSent(records[state]));
});
