/**
 * How far one upload has come and how fast it goes. Of a part on its way `fetch` says nothing until it has ended, so that the
 * bytes inside it are estimated from the speed of those before. All times are in milliseconds of a clock that only goes forward.
 */
export interface Progress {
  /** Of what this worker sends, smoothed over about `WINDOW_MS`, when S3 confirmed something last; null until known. */
  readonly bytesPerSecond: number | null;
  /** The longest that S3 has taken lately between two confirmations. */
  readonly usualMs: number;
  /** Confirmed since the last sample. */
  readonly pendingBytes: number;
  readonly sampledAt: number;
  /** Bytes that have probably left the device, as pages were told last. They never get fewer. */
  readonly shownBytes: number;
  readonly shownAt: number;
}

const WINDOW_MS = 5_000;
const SHORTEST_SAMPLE_MS = 250;
/** Parts end in bursts, so the longest pause is remembered over so many of its like. */
const REMEMBERED_PAUSES = 4;
/** However slow the link is, it counts as stalled after twice this. */
const LONGEST_PATIENCE_MS = 200_000;

/** @param shownBytes what pages were told before, or what S3 has */
export function startProgress(shownBytes: number, now: number): Progress {
  return { bytesPerSecond: null, usualMs: 0, pendingBytes: 0, sampledAt: now, shownBytes, shownAt: now };
}

/** S3 has confirmed so many more bytes that this worker has sent. */
export function addSentBytes(progress: Progress, bytes: number, now: number): Progress {
  if (bytes === 0) return progress;
  const pendingBytes = progress.pendingBytes + bytes;
  const elapsedMs = now - progress.sampledAt;
  if (elapsedMs < SHORTEST_SAMPLE_MS) return { ...progress, pendingBytes };
  // How fast it was before the stall, and how long that lasted, say nothing about now.
  if (speedAt(progress, now) === 0)
    return { ...progress, bytesPerSecond: null, pendingBytes: 0, sampledAt: now };
  const rate = (pendingBytes / elapsedMs) * 1_000;
  // A long sample says more than a short one.
  const weight = 1 - Math.exp(-elapsedMs / WINDOW_MS);
  const before = progress.bytesPerSecond;
  const bytesPerSecond = before === null ? rate : before + (rate - before) * weight;
  const remembered = progress.usualMs * Math.exp(-elapsedMs / (REMEMBERED_PAUSES * progress.usualMs || 1));
  const usualMs = Math.max(elapsedMs, remembered);
  return { ...progress, bytesPerSecond, usualMs, pendingBytes: 0, sampledAt: now };
}

/**
 * Bytes per second now: as measured last, for twice as long as S3 usually takes between two confirmations; from then on it
 * falls, in as much time again, to 0. Null while unknown.
 */
export function speedAt(progress: Progress, now: number): number | null {
  if (progress.bytesPerSecond === null) return null;
  return progress.bytesPerSecond * (1 - overdueShare(progress, now));
}

/**
 * Takes in what has probably left the device by now: the confirmed bytes and the running parts' share, never past those
 * parts' end. What was shown before stays, also when parts have to be sent again.
 */
export function advance(progress: Progress, doneBytes: number, flyingBytes: number, now: number): Progress {
  const from = Math.max(progress.shownAt, progress.sampledAt);
  const likely = progress.shownBytes + Math.max(0, sentUntil(progress, now) - sentUntil(progress, from));
  const estimate = Math.min(Math.max(likely, doneBytes), doneBytes + flyingBytes);
  // Fractions are kept for the next time, or nothing slow would ever seem to move.
  return { ...progress, shownBytes: Math.max(progress.shownBytes, estimate), shownAt: now };
}

/** Seconds until everything is confirmed; null while the speed is unknown, or nothing has come for longer than usual. */
export function etaSeconds(progress: Progress, size: number, now: number): number | null {
  const speed = speedAt(progress, now);
  if (!speed || overdueShare(progress, now) > 0) return null;
  return Math.ceil((size - progress.shownBytes) / speed);
}

/** Bytes that the speed as it falls makes likely since the last sample. */
function sentUntil(progress: Progress, now: number): number {
  const patienceMs = patienceOf(progress);
  const atFullSpeedMs = Math.min(Math.max(0, now - progress.sampledAt), patienceMs);
  const overdue = overdueShare(progress, now);
  const fallingMs = patienceMs * (overdue - overdue ** 2 / 2);
  return ((progress.bytesPerSecond ?? 0) * (atFullSpeedMs + fallingMs)) / 1_000;
}

/** From 0, nothing is late, to 1, nothing moves. */
function overdueShare(progress: Progress, now: number): number {
  const patienceMs = patienceOf(progress);
  return Math.min(Math.max(0, now - progress.sampledAt - patienceMs) / patienceMs, 1);
}

function patienceOf({ usualMs }: Progress): number {
  return Math.min(Math.max(2 * usualMs, WINDOW_MS), LONGEST_PATIENCE_MS);
}
