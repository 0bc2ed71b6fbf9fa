import { RETRY_POLICY, type RetryPolicy } from "../../src/core/options.ts";
import type { StorageFault } from "../../src/core/storage.ts";

/** A request that reaches nobody costs nobody anything, and no event tells when a link that counted as online works again. */
const LONGEST_NETWORK_WAIT_MS = 300_000;

/**
 * How long to wait before trying again: exponential with jitter, so that clients which failed together don't come back together
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/, "equal jitter"), unless the server said how
 * long; then that, and a little more.
 *
 * @param attempts faults in a row, this one included
 * @param random from 0 up to, not including, 1
 */
export function retryDelayMs(
  attempts: number,
  random: number,
  { kind, retryAfterMs }: Partial<Pick<StorageFault, "kind" | "retryAfterMs">> = {},
  policy: RetryPolicy = RETRY_POLICY,
): number {
  if (retryAfterMs !== undefined) return Math.round(retryAfterMs * (1 + random / 10));
  const longest = kind === "network" ? Math.min(policy.maxMs, LONGEST_NETWORK_WAIT_MS) : policy.maxMs;
  const ceiling = Math.min(longest, policy.baseMs * 2 ** Math.min(Math.max(attempts, 1) - 1, 30));
  return Math.round((ceiling * (1 + random)) / 2);
}

/** Whether the same request may succeed later, for as long as the upload's token lives. */
export function isPassing({ kind }: Pick<StorageFault, "kind">): boolean {
  return kind === "network" || kind === "transient";
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
  // An empty part has no speed, and says nothing about the next one.
  const likely =
    partSpeed !== null && partSpeed > 0 ? Math.min(slowest, (bytes / partSpeed) * SLOWER_BY) : slowest;
  return stallTimeoutMs + likely * 1_000;
}
