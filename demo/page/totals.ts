import type { UploadSnapshot } from "backhaul";
import { groupOf } from "./describe-upload.ts";

export interface Totals {
  readonly all: number;
  readonly moving: number;
  readonly held: number;
  readonly finished: number;
  readonly done: number;
  readonly pausable: number;
  readonly paused: number;
  /** The bytes of the current batch, see `sumUp`. */
  readonly batchBytes: number;
  readonly batchUploadedBytes: number;
  readonly batchEstimatedBytes: number;
  readonly bytesPerSecond: number;
  /** Seconds until all that moves is there; null while unknown. */
  readonly etaSeconds: number | null;
}

/**
 * The batch is all unfinished uploads, and those done since the oldest of these was added. If yesterday's
 * uploads counted, which are still on the list, today's would start at 90 %.
 */
export function sumUp(uploads: readonly UploadSnapshot[]): Totals {
  const counts = { moving: 0, held: 0, finished: 0 };
  let done = 0;
  let pausable = 0;
  let paused = 0;
  let bytesPerSecond = 0;
  let movingBytesLeft = 0;
  let batchStart = Infinity;
  for (const upload of uploads) {
    counts[groupOf(upload.state)] += 1;
    if (upload.state === "done") done += 1;
    if (upload.state === "paused") paused += 1;
    const isMoving = groupOf(upload.state) === "moving";
    if (isMoving || upload.state === "waiting") pausable += 1;
    if (isMoving) movingBytesLeft += upload.size - upload.estimatedBytes;
    if (isOpen(upload)) batchStart = Math.min(batchStart, upload.createdAt);
    bytesPerSecond += upload.bytesPerSecond ?? 0;
  }
  const isIdle = batchStart === Infinity;
  let batchBytes = 0;
  let batchUploadedBytes = 0;
  let batchEstimatedBytes = 0;
  for (const upload of uploads) {
    const belongs = isOpen(upload) || (upload.state === "done" && (isIdle || upload.updatedAt >= batchStart));
    if (!belongs) continue;
    batchBytes += upload.size;
    batchUploadedBytes += upload.uploadedBytes;
    batchEstimatedBytes += upload.estimatedBytes;
  }
  return {
    all: uploads.length,
    ...counts,
    done,
    pausable,
    paused,
    bytesPerSecond,
    batchBytes,
    batchUploadedBytes,
    batchEstimatedBytes,
    etaSeconds: bytesPerSecond > 0 ? Math.ceil(movingBytesLeft / bytesPerSecond) : null,
  };
}

function isOpen({ state }: UploadSnapshot): boolean {
  return state !== "done" && state !== "canceled" && state !== "failed";
}
