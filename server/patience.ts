/**
 * How long one end of a relayed request is waited for. Waiting uses it up and bytes fill it again, so that an
 * end which sends a byte now and then is given up like one that sends nothing.
 */
export interface Patience {
  /** The end is waited for from now on. */
  start(): void;
  /** The end has moved so many bytes, and is not waited for any more. */
  stop(bytes: number): void;
}

/**
 * @param idleMs how long the end may move nothing at all, in milliseconds; also the most that bytes fill up
 *   again
 * @param bytesPerSecond the rate that the end has to keep up while it is waited for
 * @param onExhausted is called when the end has been too slow
 */
export function createPatience(idleMs: number, bytesPerSecond: number, onExhausted: () => void): Patience {
  let leftMs = idleMs;
  let startedAt = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  return {
    start() {
      if (timer !== undefined) return;
      startedAt = performance.now();
      timer = setTimeout(onExhausted, Math.max(0, leftMs));
    },
    stop(bytes) {
      if (timer === undefined) return;
      clearTimeout(timer);
      timer = undefined;
      const waitedMs = performance.now() - startedAt;
      leftMs = Math.min(idleMs, leftMs - waitedMs + (bytes / bytesPerSecond) * 1_000);
    },
  };
}
