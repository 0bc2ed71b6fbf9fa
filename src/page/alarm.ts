import type { UploadSnapshot } from "../core/snapshot.ts";
import type { PageClock } from "./platform.ts";

/** Longer than this a timer overflows and fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Rings when an upload's hour has come: no worker is kept alive through the day for what waits for the night. */
export class Alarm {
  readonly #clock: PageClock;
  readonly #ring: () => void;
  #at = Number.POSITIVE_INFINITY;
  #undo = () => {};

  constructor(clock: PageClock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** To be called on every change of the list. */
  update(uploads: readonly UploadSnapshot[]): void {
    let at = Number.POSITIVE_INFINITY;
    for (const { reason, nextAttemptAt } of uploads)
      if (reason === "conditions") at = Math.min(at, nextAttemptAt ?? at);
    if (at === this.#at) return;
    this.#at = at;
    this.#set();
  }

  stop(): void {
    this.#undo();
  }

  #set(): void {
    this.stop();
    if (this.#at === Number.POSITIVE_INFINITY) return;
    const left = this.#at - this.#clock.now();
    this.#undo =
      left > LONGEST_TIMER_MS
        ? this.#clock.after(LONGEST_TIMER_MS, () => this.#set())
        : this.#clock.after(Math.max(0, left), this.#ring);
  }
}
