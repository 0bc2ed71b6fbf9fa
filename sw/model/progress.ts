/**
 * Speed of one upload, smoothed over about `WINDOW_MS`, and an estimate of the bytes inside parts on their way, of which
 * `fetch` says nothing until they have ended.
 */
export interface Progress {
  readonly bytesPerSecond: number | null;
  /** Bytes at the last sample. */
  readonly sampledBytes: number;
  /** Milliseconds since 1970. */
  readonly sampledAt: number;
}

const WINDOW_MS = 5_000;
const SHORTEST_SAMPLE_MS = 250;

export function startProgress(doneBytes: number, now: number): Progress {
  return { bytesPerSecond: null, sampledBytes: doneBytes, sampledAt: now };
}

/** Takes in that `doneBytes` are confirmed at `now`. */
export function sampleProgress(progress: Progress, doneBytes: number, now: number): Progress {
  const elapsedMs = now - progress.sampledAt;
  if (elapsedMs < SHORTEST_SAMPLE_MS || doneBytes === progress.sampledBytes) return progress;
  const rate = ((doneBytes - progress.sampledBytes) / elapsedMs) * 1_000;
  // A long sample says more than a short one.
  const weight = 1 - Math.exp(-elapsedMs / WINDOW_MS);
  const before = progress.bytesPerSecond;
  const bytesPerSecond = Math.max(0, before === null ? rate : before + (rate - before) * weight);
  return { bytesPerSecond, sampledBytes: doneBytes, sampledAt: now };
}

/** Bytes likely to have left the device: the confirmed ones and the running parts' share, never past those parts' end. */
export function estimateBytes(
  progress: Progress,
  doneBytes: number,
  flyingBytes: number,
  now: number,
): number {
  const sent = ((progress.bytesPerSecond ?? 0) * Math.max(0, now - progress.sampledAt)) / 1_000;
  const sinceSample = Math.max(0, sent - Math.max(0, doneBytes - progress.sampledBytes));
  return doneBytes + Math.floor(Math.min(sinceSample, flyingBytes));
}

/** Seconds until everything is confirmed; null while the speed is unknown or nothing moves. */
export function etaSeconds(progress: Progress, estimatedBytes: number, size: number): number | null {
  if (!progress.bytesPerSecond) return null;
  return Math.ceil((size - estimatedBytes) / progress.bytesPerSecond);
}
