import type { Clock } from "./platform.ts";

/** Settles after `ms`, or at once when the signal aborts; never rejects. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = () => {
      undo();
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const undo = clock.after(ms, end);
    signal?.addEventListener("abort", end);
  });
}
