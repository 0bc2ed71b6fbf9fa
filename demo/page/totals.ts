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
  /** Bytes of the current run, see `sumUp`. */
  readonly partRangeBytes: number;
  readonly runUploadedBytes: number;
  readonly runEstimatedBytes: number;
  readonly bytesPerSecond: number;
  /** Seconds until all that moves is there; null while unknown. */
  readonly etaSeconds: number | null;
}

/**
 * The run is what is not finished, and what has been done since the oldest of that was added: yesterday's uploads,
 * still on the list, would let today's start at 90 %.
 */
export function sumUp(uploads: readonly UploadSnapshot[]): Totals {
  const counts = { moving: 0, held: 0, finished: 0 };
  let done = 0;
  let pausable = 0;
  let paused = 0;
  let bytesPerSecond = 0;
  let movingBytesLeft = 0;
  let runStart = Infinity;
  for (const upload of uploads) {
    counts[groupOf(upload.state)] += 1;
    if (upload.state === "done") done += 1;
    if (upload.state === "paused") paused += 1;
    const isMoving = groupOf(upload.state) === "moving";
    if (isMoving || upload.state === "waiting") pausable += 1;
    if (isMoving) movingBytesLeft += upload.size - upload.estimatedBytes;
    if (isOpen(upload)) runStart = Math.min(runStart, upload.createdAt);
    bytesPerSecond += upload.bytesPerSecond ?? 0;
  }
  const isIdle = runStart === Infinity;
  let partRangeBytes = 0;
  let runUploadedBytes = 0;
  let runEstimatedBytes = 0;
  for (const upload of uploads) {
    const belongs = isOpen(upload) || (upload.state === "done" && (isIdle || upload.updatedAt >= runStart));
    if (!belongs) continue;
    partRangeBytes += upload.size;
    runUploadedBytes += upload.uploadedBytes;
    runEstimatedBytes += upload.estimatedBytes;
  }
  return {
    all: uploads.length,
    ...counts,
    done,
    pausable,
    paused,
    bytesPerSecond,
    partRangeBytes,
    runUploadedBytes,
    runEstimatedBytes,
    etaSeconds: bytesPerSecond > 0 ? Math.ceil(movingBytesLeft / bytesPerSecond) : null,
  };
}

function isOpen({ state }: UploadSnapshot): boolean {
  return state !== "done" && state !== "canceled" && state !== "failed";
}
