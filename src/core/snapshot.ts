import type { UploadError, UploadErrorWire } from "./errors.ts";
import type { PartLedger, PartTrouble } from "./part-ledger.ts";
import { partBytes } from "./plan-parts.ts";
import { estimateBytes, etaSeconds, type Progress } from "./progress.ts";
import type { StoredObject } from "./storage.ts";
import type { Durability, PauseReason, UploadRecord, UploadState, WaitingReason } from "./upload.ts";

/** "worker": straight to S3. "browser": left to the browser's own transfers, by the app's relay. */
export type Lane = "worker" | "browser";

/** One upload as it crosses to pages. */
export interface WireSnapshot extends Omit<UploadSnapshot, "error"> {
  readonly error: UploadErrorWire | null;
}

/** One upload as pages see it. Each change gives a new one. */
export interface UploadSnapshot {
  readonly id: string;
  /** Position in the queue; lower goes first. */
  readonly order: number;
  readonly key: string;
  readonly name: string;
  /** MIME type, "" where unknown. */
  readonly type: string;
  /** Bytes. */
  readonly size: number;
  /** Who was signed in when it was added; "" for nobody. */
  readonly owner: string;
  readonly state: UploadState;
  /** Why it rests, in `paused` and `waiting`; else null. */
  readonly reason: PauseReason | WaitingReason | null;
  /** Who moves its bytes now. */
  readonly lane: Lane | null;
  /** "memory": the upload does not survive the worker. "stored": the bytes are in IndexedDB. "handle": on disk. */
  readonly durability: Durability;
  /** Bytes that S3 has confirmed. */
  readonly uploadedBytes: number;
  /** `uploadedBytes` and the share of the running parts that has probably left the device. */
  readonly estimatedBytes: number;
  /** Smoothed; null until known. */
  readonly bytesPerSecond: number | null;
  /** Seconds left; null while unknown. */
  readonly etaSeconds: number | null;
  readonly partsDone: number;
  readonly partsTotal: number;
  /** Bytes in each part but the last. */
  readonly partSize: number;
  /** Faults in a row. */
  readonly attempts: number;
  /** Faults of parts since the worker has started, mended ones too. */
  readonly faults: number;
  /** Parts that have failed and not arrived since; at most 8. */
  readonly troubledParts: readonly PartTrouble[];
  /** Milliseconds since 1970, while waiting for a time; else null. */
  readonly nextAttemptAt: number | null;
  /** What failed, in `failed` and `waiting`; else null. */
  readonly error: UploadError | null;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** Milliseconds since 1970. */
  readonly updatedAt: number;
  /** What S3 holds, in `done`; else null. */
  readonly object: StoredObject | null;
}

/** What a snapshot is taken of. */
export interface SnapshotSource {
  readonly record: UploadRecord;
  readonly ledger: PartLedger;
  readonly lane: Lane;
  readonly faults: number;
}

/** Those that the user might be told of; a link that is down has them all in trouble. */
const MOST_TROUBLED = 8;

export function takeSnapshot(
  { record, ledger, lane, faults }: SnapshotSource,
  progress: Progress,
  now: number,
): WireSnapshot {
  const { id, order, key, name, type, owner, state, durability, attempts, createdAt, updatedAt } = record;
  const { size, partSize, partCount } = record.plan;
  const isDone = state === "done";
  const isSending = state === "uploading";
  let flyingBytes = 0;
  for (const partNumber of ledger.flyingParts) flyingBytes += partBytes(record.plan, partNumber);
  const uploadedBytes = isDone ? size : ledger.doneBytes;
  const estimatedBytes = isSending ? estimateBytes(progress, uploadedBytes, flyingBytes, now) : uploadedBytes;
  return {
    ...{ id, order, key, name, type, size, owner, state, durability, attempts, createdAt, updatedAt },
    reason: record.state === "paused" || record.state === "waiting" ? record.reason : null,
    lane: isSending ? lane : null,
    uploadedBytes,
    estimatedBytes,
    bytesPerSecond: isSending ? progress.bytesPerSecond : null,
    etaSeconds: isSending ? etaSeconds(progress, estimatedBytes, size) : null,
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
