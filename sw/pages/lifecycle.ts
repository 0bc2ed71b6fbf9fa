import type { Platform } from "../platform/index.ts";

/**
 * Chromium kills a worker whose one event has run for 300 s, whatever it is doing; others are stricter. So a hold ends by
 * itself a little before.
 */
const LONGEST_HOLD_MS = 290_000;
/** `sync` events have 3 min. */
const LONGEST_SYNC_MS = 175_000;

/**
 * Keeps the worker alive while there is work: one held `waitUntil` at a time. Each event that can hold replaces the hold
 * before it, so that with the last page gone the last hold still has its full length.
 */
export class Lifecycle {
  readonly #platform: Pick<Platform, "clock" | "worker">;
  #release = () => {};
  readonly #releaseSyncs = new Set<() => void>();
  /** When the last hold ends at the latest, by `clock.elapsed()`. */
  #endsAt = 0;

  constructor(platform: Pick<Platform, "clock" | "worker">) {
    this.#platform = platform;
    platform.worker.onNewVersion(() => this.#makeWay());
  }

  /** Milliseconds that this worker still has if nothing else wakes it. */
  get msLeft(): number {
    return Math.max(0, this.#endsAt - this.#platform.clock.elapsed());
  }

  /** @param busy settles when there is nothing left to do; why it failed is told by whoever did the work */
  hold(event: Pick<ExtendableEvent, "waitUntil">, busy: Promise<unknown>): void {
    const { clock, worker } = this.#platform;
    const over = busy.catch(() => {});
    if (worker.hasWaitingVersion) return;
    const release = this.#release;
    this.#endsAt = clock.elapsed() + LONGEST_HOLD_MS;
    event.waitUntil(
      new Promise<void>((resolve) => {
        const undo = clock.after(LONGEST_HOLD_MS, resolve);
        this.#release = () => {
          undo();
          resolve();
        };
        over.then(this.#release);
      }),
    );
    release();
  }

  /**
   * A `sync` runs beside the hold: it is what the browser repeats after a crash, so it must not end before the work does.
   *
   * @param busy settles when there is nothing left to do now
   * @param isUsed whether the event may count as used; asked when there is nothing left to do, or no time. Otherwise the
   *   browser fires it again later
   */
  holdSync(
    event: Pick<ExtendableEvent, "waitUntil">,
    busy: Promise<unknown>,
    isUsed: () => Promise<boolean>,
  ): void {
    const { clock, worker } = this.#platform;
    const over = busy.catch(() => {});
    if (worker.hasWaitingVersion) {
      event.waitUntil(Promise.reject(newerVersionGoesOn()));
      return;
    }
    this.#endsAt = Math.max(this.#endsAt, clock.elapsed() + LONGEST_SYNC_MS);
    event.waitUntil(
      new Promise<void>((resolve, reject) => {
        const decide = async () => {
          end();
          if (await isUsed().catch(() => false)) resolve();
          else reject(new Error("backhaul: not done yet"));
        };
        const undo = clock.after(LONGEST_SYNC_MS, decide);
        const end = () => {
          undo();
          this.#releaseSyncs.delete(release);
        };
        const release = () => {
          end();
          reject(newerVersionGoesOn());
        };
        this.#releaseSyncs.add(release);
        over.then(decide);
      }),
    );
  }

  /**
   * A new version waits, and the browser lets it in only while no event of this one is held. With a page open this worker
   * still lives, from one answered "stay" to the next.
   */
  #makeWay(): void {
    if (!this.#platform.worker.hasWaitingVersion) return;
    this.#release();
    for (const release of this.#releaseSyncs) release();
  }
}

/** The browser fires the `sync` again, to the newer version by then. */
function newerVersionGoesOn(): Error {
  return new Error("backhaul: a newer version goes on");
}
