import type { Lane, WireSnapshot } from "../../src/core/snapshot.ts";
import type { PartLedger } from "./part-ledger.ts";
import { etaSeconds, type Progress, speedAt } from "./progress.ts";
import type { UploadRecord } from "./record.ts";

/** The parts of a live upload from which its snapshot is made. */
export interface SnapshotSource {
  readonly record: UploadRecord;
  readonly ledger: PartLedger;
  readonly lane: Lane;
  readonly faults: number;
}

/**
 * The most troubled parts in a snapshot: with the link down all parts are, and a list of thousands helps
 * nobody.
 */
const MOST_TROUBLED = 8;

/** @param now by the clock of `progress` */
export function snapshotOf(
  { record, ledger, lane, faults }: SnapshotSource,
  progress: Progress,
  now: number,
): WireSnapshot {
  const { id, order, key, name, type, owner, state, durability, attempts, createdAt, updatedAt } = record;
  const { size, partSize, partCount } = record.plan;
  const isDone = state === "done";
  const isSending = state === "uploading";
  // Of what the browser carries, the worker learns in leaps of hundreds of megabytes.
  const isMeasured = isSending && lane === "worker";
  const uploadedBytes = isDone ? size : ledger.doneBytes;
  return {
    id,
    order,
    key,
    name,
    type,
    size,
    owner,
    state,
    durability,
    attempts,
    createdAt,
    updatedAt,
    reason: record.state === "paused" || record.state === "waiting" ? record.reason : null,
    lane: isSending ? lane : null,
    uploadedBytes,
    estimatedBytes: Math.max(uploadedBytes, Math.floor(progress.shownBytes)),
    bytesPerSecond: isMeasured ? speedAt(progress, now) : null,
    etaSeconds: isMeasured ? etaSeconds(progress, size, now) : null,
    partsDone: isDone ? partCount : ledger.doneParts,
    partsTotal: partCount,
    partSize,
    faults,
    troubledParts: ledger.troubled(MOST_TROUBLED),
    nextAttemptAt: record.state === "waiting" ? record.nextAttemptAt : null,
    error: record.state === "failed" || record.state === "waiting" ? record.error : null,
    object: record.state === "done" ? record.object : null,
  };
}
