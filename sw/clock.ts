/** The worker's only clock, timers and dice. */

/** Milliseconds since 1970. */
export const now = (): number => Date.now();

/** From 0 up to, not including, 1. */
export const random = (): number => Math.random();

/** Settles after `ms`, or at once when the signal aborts; never rejects. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    // Longer than this a timer overflows and fires at once.
    const timer = setTimeout(end, Math.min(ms, 2 ** 31 - 1));
    signal.addEventListener("abort", end);
  });
}

/** Calls back every `ms` until undone. */
export function every(ms: number, callback: () => void): () => void {
  const timer = setInterval(callback, ms);
  return () => clearInterval(timer);
}

/** Calls back once after `ms` unless undone. */
export function after(ms: number, callback: () => void): () => void {
  const timer = setTimeout(callback, ms);
  return () => clearTimeout(timer);
}

/** A signal that does not abort. */
export const never: AbortSignal = new AbortController().signal;
