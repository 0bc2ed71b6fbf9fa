import { RETRY_POLICY, type RetryPolicy } from "../../src/core/options.ts";
import type { StorageFault } from "../../src/core/storage.ts";

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

/**
 * Whether to try again after this fault, the `attempts`-th in a row. The network's faults have no limit: trains have
 * tunnels. Nor has waiting for one's turn.
 */
export function isWorthRetrying(
  fault: StorageFault,
  attempts: number,
  policy: RetryPolicy = RETRY_POLICY,
): boolean {
  if (fault.kind === "network" || fault.code === "RATE_LIMITED") return true;
  return fault.kind === "transient" && attempts < policy.maxServerAttempts;
}

/** Slowest link that is waited for rather than taken for stalled, in bytes per second over one upload's parts. */
const SLOWEST_BYTES_PER_SECOND = 16 * 1024;
/** A part may take this many times what one took just before. */
const SLOWER_BY = 10;

/**
 * How long a PUT of `bytes` may take before it counts as stalled. `fetch` shows no progress inside a body, so this is a
 * limit on the whole.
 *
 * @param stallTimeoutMs Time for a part of no bytes.
 * @param partSpeed Bytes per second of the last part that arrived; null if none did, or the last one failed.
 */
export function putTimeoutMs(bytes: number, stallTimeoutMs: number, partSpeed: number | null): number {
  const slowest = bytes / SLOWEST_BYTES_PER_SECOND;
  const likely = partSpeed === null ? slowest : Math.min(slowest, (bytes / partSpeed) * SLOWER_BY);
  return stallTimeoutMs + likely * 1_000;
}
