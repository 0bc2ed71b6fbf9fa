import type { ScopedName } from "../protocol/protocol.ts";
import type { PagePlatform } from "./platform.ts";

/** A worker that can't start is not started again sooner, or it would be in a loop. */
const SHORTEST_PAUSE_MS = 1_000;

export interface DriverWatchOptions {
  readonly platform: Pick<PagePlatform, "clock" | "locks">;
  readonly name: ScopedName;
  /** Whether there is something to do; asked each time the lock was got. */
  readonly isNeeded: () => boolean;
  /** Called when no worker drives. */
  readonly onDead: () => void;
}

/**
 * Notices at once when the worker dies while there is something to do: it holds a Web Lock as long as it lives and drives,
 * so a page that waits for the lock is told by the browser, hidden or not, without any timer.
 */
export class DriverWatch {
  readonly #options: DriverWatchOptions;
  #waiting: AbortController | undefined;

  constructor(options: DriverWatchOptions) {
    this.#options = options;
  }

  /** To be called whenever something may have become needed. */
  update(): void {
    if (!this.#waiting && this.#options.isNeeded()) void this.#watch();
  }

  /** A page that waits for a lock can't rest in the back/forward cache, so this is called on `pagehide` too. */
  stop(): void {
    this.#waiting?.abort();
    this.#waiting = undefined;
  }

  async #watch(): Promise<void> {
    const { platform, name, isNeeded, onDead } = this.#options;
    const waiting = new AbortController();
    const { signal } = waiting;
    this.#waiting = waiting;
    while (!signal.aborted && isNeeded()) {
      try {
        // Shared, so that all pages are told; and given back at once, for the next worker to get.
        await platform.locks.hold(name, { mode: "shared", signal }, () => {});
      } catch {
        break;
      }
      if (!isNeeded()) break;
      onDead();
      await new Promise<void>((resolve) => {
        platform.clock.after(SHORTEST_PAUSE_MS, resolve);
      });
    }
    if (this.#waiting === waiting) this.#waiting = undefined;
  }
}
