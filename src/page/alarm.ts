import type { UploadSnapshot } from "../core/snapshot.ts";
import type { PageClock } from "./platform.ts";

/** Timers stand still while the device sleeps, and `nextAttemptAt` goes by a clock that its user may set: none is longer. */
const LONGEST_TIMER_MS = 60_000;
/** A worker that lives has timers of its own for all but conditions; the page rings where that worker turns out to be gone. */
const WORKER_FIRST_MS = 5_000;

/**
 * Rings when the time has come for which an upload waits, and again while nothing has come of it. No worker is kept alive
 * through the day for what waits for the night, and one that waits for a long retry may be stopped meanwhile.
 */
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
      if (nextAttemptAt !== null)
        at = Math.min(at, reason === "conditions" ? nextAttemptAt : nextAttemptAt + WORKER_FIRST_MS);
    if (at === this.#at) return;
    this.#at = at;
    this.check();
  }

  /** To be called when timers may have been held back. */
  check(): void {
    this.stop();
    if (this.#at === Number.POSITIVE_INFINITY) return;
    const left = this.#at - this.#clock.now();
    this.#undo = this.#clock.after(Math.min(Math.max(0, left), LONGEST_TIMER_MS), () => this.#due());
  }

  stop(): void {
    this.#undo();
  }

  #due(): void {
    if (this.#clock.now() < this.#at) {
      this.check();
      return;
    }
    // The message may have met no worker, or one that died over it.
    this.#undo = this.#clock.after(LONGEST_TIMER_MS, () => this.#due());
    this.#ring();
  }
}
