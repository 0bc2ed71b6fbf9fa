import type { StorageFault } from "./storage.ts";

export interface RetryPolicy {
  /** Longest wait before the first retry, in milliseconds. */
  readonly baseMs: number;
  /** Longest wait at all, in milliseconds. */
  readonly maxMs: number;
  /** Tries in a row at which a fault of the server (not of the network) counts as final. */
  readonly maxServerAttempts: number;
}

export const RETRY_POLICY = {
  baseMs: 1_000,
  maxMs: 60_000,
  maxServerAttempts: 8,
} as const satisfies RetryPolicy;

/**
 * How long to wait before trying again: exponential with full jitter
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), unless the server said how long.
 *
 * @param attempts Faults in a row, this one included.
 * @param random From 0 up to, not including, 1.
 */
export function retryDelayMs(
  attempts: number,
  random: number,
  retryAfterMs?: number,
  policy: RetryPolicy = RETRY_POLICY,
): number {
  if (retryAfterMs !== undefined) return retryAfterMs;
  const ceiling = Math.min(policy.maxMs, policy.baseMs * 2 ** Math.min(attempts - 1, 30));
  // A floor, so that a jitter near 0 doesn't hammer a server that is down.
  return Math.round(policy.baseMs / 4 + random * (ceiling - policy.baseMs / 4));
}

/** Whether to try again after this fault, the `attempts`-th in a row. The network's faults have no limit: trains have tunnels. */
export function isWorthRetrying(
  fault: StorageFault,
  attempts: number,
  policy: RetryPolicy = RETRY_POLICY,
): boolean {
  if (fault.kind === "network") return true;
  return fault.kind === "busy" && attempts < policy.maxServerAttempts;
}

/** Slowest link that is waited for rather than taken for stalled, in bytes per second over one upload's parts. */
const SLOWEST_BYTES_PER_SECOND = 16 * 1024;
const STALLED_AFTER_MS = 60_000;

/**
 * How long a PUT of `bytes` may take before it counts as stalled. `fetch` shows no progress inside a body, so this is a
 * limit on the whole.
 */
export function putTimeoutMs(bytes: number): number {
  return STALLED_AFTER_MS + (bytes / SLOWEST_BYTES_PER_SECOND) * 1_000;
}
