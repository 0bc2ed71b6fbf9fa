import type { UploadSnapshot } from "../core/snapshot.ts";

/** Longer than this a timer overflows and fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Rings when an upload's hour has come: no worker is kept alive through the day for what waits for the night. */
export class Alarm {
  readonly #ring: () => void;
  #at = Number.POSITIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(ring: () => void) {
    this.#ring = ring;
  }

  /** To be called on every change of the list. */
  look(uploads: readonly UploadSnapshot[]): void {
    let at = Number.POSITIVE_INFINITY;
    for (const { reason, nextAttemptAt } of uploads)
      if (reason === "conditions") at = Math.min(at, nextAttemptAt ?? at);
    if (at === this.#at) return;
    this.#at = at;
    this.#set();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #set(): void {
    this.stop();
    if (this.#at === Number.POSITIVE_INFINITY) return;
    const left = this.#at - Date.now();
    this.#timer =
      left > LONGEST_TIMER_MS
        ? setTimeout(() => this.#set(), LONGEST_TIMER_MS)
        : setTimeout(this.#ring, Math.max(0, left));
  }
}
