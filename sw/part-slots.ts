/**
 * Places for parts on their way, shared by all uploads: a sliding window, in which whoever's turn comes first gets the
 * next free place.
 */
export class PartSlots<Turn> {
  readonly #capacity: number;
  readonly #compare: (a: Turn, b: Turn) => number;
  #taken = 0;
  #queue: { readonly turn: Turn; readonly grant: () => void }[] = [];

  constructor(capacity: number, compare: (a: Turn, b: Turn) => number) {
    this.#capacity = capacity;
    this.#compare = compare;
  }

  /** Waits for a place and returns how to give it back; undefined if the signal aborts first. */
  async acquire(turn: Turn, signal: AbortSignal): Promise<(() => void) | undefined> {
    if (signal.aborted) return undefined;
    if (this.#taken < this.#capacity) {
      this.#taken += 1;
      return this.#releaseOnce();
    }
    return new Promise((resolve) => {
      const entry = {
        turn,
        grant: () => {
          signal.removeEventListener("abort", giveUp);
          resolve(this.#releaseOnce());
        },
      };
      const giveUp = () => {
        this.#queue = this.#queue.filter((other) => other !== entry);
        resolve(undefined);
      };
      signal.addEventListener("abort", giveUp, { once: true });
      const behind = this.#queue.findIndex((other) => this.#compare(turn, other.turn) < 0);
      this.#queue.splice(behind === -1 ? this.#queue.length : behind, 0, entry);
    });
  }

  #releaseOnce(): () => void {
    let released = false;
    return () => {
      if (released) return;
      released = true;
      const next = this.#queue.shift();
      if (next) next.grant();
      else this.#taken -= 1;
    };
  }
}
