/** The worker's only clock, timers and dice. */

/** Milliseconds since 1970. */
export const now = (): number => Date.now();

/** The moment, and how far the local day is at it, in milliseconds. */
export function localTime(): { readonly now: number; readonly msOfDay: number } {
  const date = new Date();
  const minutes = date.getHours() * 60 + date.getMinutes();
  return {
    now: date.getTime(),
    msOfDay: (minutes * 60 + date.getSeconds()) * 1_000 + date.getMilliseconds(),
  };
}

/** From 0 up to, not including, 1. */
export const random = (): number => Math.random();

/** Longer than this a timer overflows and fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Settles after `ms`, or at once when the signal aborts; never rejects. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, Math.min(ms, LONGEST_TIMER_MS));
    signal.addEventListener("abort", end);
  });
}

/** Calls back every `ms` until undone. */
export function every(ms: number, callback: () => void): () => void {
  const timer = setInterval(callback, ms);
  return () => clearInterval(timer);
}

/** Calls back once after `ms`, or after 24 days if that is sooner, unless undone. */
export function after(ms: number, callback: () => void): () => void {
  const timer = setTimeout(callback, Math.min(ms, LONGEST_TIMER_MS));
  return () => clearTimeout(timer);
}

/** A signal that does not abort. */
export const never: AbortSignal = new AbortController().signal;
