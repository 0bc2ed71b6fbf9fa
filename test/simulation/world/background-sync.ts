import type { VirtualTime } from "../../support/virtual-time.ts";

/** How long Chromium waits before it fires a `sync` again that has failed; after the last it is dropped. */
const RETRY_AFTER_MS = [300_000, 900_000];
const FIRE_AFTER_MS = 100;

interface Tag {
  attempts: number;
  isRunning: boolean;
  /** It was registered again while its event ran, so that it is fired once more whatever comes of that. */
  isRenewed: boolean;
  undo: () => void;
}

/** Background Sync of one registration, as Chromium does it. */
export class BackgroundSync {
  readonly #time: VirtualTime;
  readonly #fire: (tag: string, lastChance: boolean) => Promise<void>;
  readonly #isOnline: () => boolean;
  /** Failed attempts, by tag; a tag is there from its registration until it was used or dropped. */
  readonly #tags = new Map<string, Tag>();

  constructor(
    time: VirtualTime,
    isOnline: () => boolean,
    fire: (tag: string, lastChance: boolean) => Promise<void>,
  ) {
    this.#time = time;
    this.#isOnline = isOnline;
    this.#fire = fire;
  }

  get isRegistered(): boolean {
    return this.#tags.size > 0;
  }

  /** Whether it is fired once more, though the event that runs counts as used. */
  isRenewed(tag: string): boolean {
    return this.#tags.get(tag)?.isRenewed ?? false;
  }

  register(tag: string): void {
    const known = this.#tags.get(tag);
    if (known) {
      known.attempts = 0;
      known.isRenewed = known.isRunning;
      if (!known.isRunning) this.#schedule(tag, FIRE_AFTER_MS);
      return;
    }
    this.#tags.set(tag, { attempts: 0, isRunning: false, isRenewed: false, undo: () => {} });
    this.#schedule(tag, FIRE_AFTER_MS);
  }

  /** The network is back, or the browser has started: what was running when it died is fired again. */
  start(): void {
    for (const [tag, entry] of this.#tags) {
      entry.isRunning = false;
      this.#schedule(tag, FIRE_AFTER_MS);
    }
  }

  /** The browser has gone. */
  stop(): void {
    for (const entry of this.#tags.values()) {
      entry.undo();
      entry.isRunning = false;
    }
  }

  #schedule(tag: string, ms: number): void {
    const entry = this.#tags.get(tag);
    if (!entry) return;
    entry.undo();
    entry.undo = this.#time.after(ms, () => void this.#run(tag));
  }

  async #run(tag: string): Promise<void> {
    const entry = this.#tags.get(tag);
    if (!entry || entry.isRunning || !this.#isOnline()) return;
    entry.isRunning = true;
    entry.isRenewed = false;
    try {
      await this.#fire(tag, entry.attempts === RETRY_AFTER_MS.length);
      if (!entry.isRunning) return;
      if (entry.isRenewed) this.#schedule(tag, FIRE_AFTER_MS);
      else this.#tags.delete(tag);
    } catch {
      if (!entry.isRunning) return;
      if (entry.isRenewed) return this.#schedule(tag, FIRE_AFTER_MS);
      const wait = RETRY_AFTER_MS[entry.attempts];
      entry.attempts += 1;
      if (wait === undefined) this.#tags.delete(tag);
      else this.#schedule(tag, wait);
    } finally {
      entry.isRunning = false;
    }
  }
}
