import type { ScopedName } from "../protocol/protocol.ts";

/** So that a worker that can't start isn't started in a loop. */
const SHORTEST_PAUSE_MS = 1_000;

/**
 * Notices at once when the worker dies while there is something to do: it holds a Web Lock as long as it lives and drives,
 * so a page that waits for the lock is told by the browser, hidden or not, without any timer.
 *
 * @param isNeeded whether there is something to do; asked each time the lock was got
 * @param onDead called when no worker drives
 */
export class DriverWatch {
  readonly #name: ScopedName;
  readonly #isNeeded: () => boolean;
  readonly #onDead: () => void;
  #waiting: AbortController | undefined;

  constructor(name: ScopedName, isNeeded: () => boolean, onDead: () => void) {
    this.#name = name;
    this.#isNeeded = isNeeded;
    this.#onDead = onDead;
  }

  /** To be called whenever something may have become needed. */
  look(): void {
    if (!this.#waiting && this.#isNeeded()) void this.#watch();
  }

  /** A page that waits for a lock can't rest in the back/forward cache, so this is called on `pagehide` too. */
  stop(): void {
    this.#waiting?.abort();
    this.#waiting = undefined;
  }

  async #watch(): Promise<void> {
    const waiting = new AbortController();
    const { signal } = waiting;
    this.#waiting = waiting;
    while (!signal.aborted && this.#isNeeded()) {
      try {
        // Shared, so that all pages are told; and given back at once, for the next worker to take.
        await navigator.locks.request(this.#name, { mode: "shared", signal }, () => {});
      } catch {
        break;
      }
      if (!this.#isNeeded()) break;
      this.#onDead();
      await new Promise((resolve) => setTimeout(resolve, SHORTEST_PAUSE_MS));
    }
    if (this.#waiting === waiting) this.#waiting = undefined;
  }
}
