/** A place taken. */
export interface Slot {
  /** No place is free at this moment. */
  readonly isFull: boolean;
  /** Gives it back; more than once does nothing. */
  release(): void;
}

export interface PartSlotsOptions<Turn> {
  readonly capacity: number;
  /** Places that one upload may have at once. */
  readonly perUpload: number;
  readonly compare: (a: Turn, b: Turn) => number;
}

/**
 * Places for parts on their way, shared by all uploads: a sliding window, in which whoever's turn comes first gets the
 * next free place.
 */
export class PartSlots<Turn extends { readonly id: string }> {
  readonly #perUpload: number;
  readonly #compare: (a: Turn, b: Turn) => number;
  #capacity: number;
  #taken = 0;
  readonly #takenBy = new Map<string, number>();
  #queue: { readonly turn: Turn; readonly grant: () => void }[] = [];

  constructor({ capacity, perUpload, compare }: PartSlotsOptions<Turn>) {
    this.#capacity = capacity;
    this.#perUpload = perUpload;
    this.#compare = compare;
  }

  /** How many places there are. With fewer than are taken, none is given again until they fit. */
  set capacity(capacity: number) {
    this.#capacity = capacity;
    this.#grant();
  }

  /** Waits for a place; undefined if the signal aborts first. */
  async acquire(turn: Turn, signal: AbortSignal): Promise<Slot | undefined> {
    if (signal.aborted) return undefined;
    return new Promise((resolve) => {
      const entry = {
        turn,
        grant: () => {
          signal.removeEventListener("abort", giveUp);
          resolve(this.#occupy(turn.id));
        },
      };
      const giveUp = () => {
        this.#queue = this.#queue.filter((other) => other !== entry);
        resolve(undefined);
      };
      signal.addEventListener("abort", giveUp, { once: true });
      const behind = this.#queue.findIndex((other) => this.#compare(turn, other.turn) < 0);
      this.#queue.splice(behind === -1 ? this.#queue.length : behind, 0, entry);
      this.#grant();
    });
  }

  #grant(): void {
    while (this.#taken < this.#capacity) {
      const next = this.#queue.findIndex(({ turn }) => this.#countOf(turn.id) < this.#perUpload);
      if (next === -1) return;
      for (const { grant } of this.#queue.splice(next, 1)) grant();
    }
  }

  #occupy(id: string): Slot {
    this.#taken += 1;
    this.#takenBy.set(id, this.#countOf(id) + 1);
    let released = false;
    const isFull = () => this.#taken >= this.#capacity;
    return {
      get isFull() {
        return isFull();
      },
      release: () => {
        if (released) return;
        released = true;
        this.#taken -= 1;
        const left = this.#countOf(id) - 1;
        if (left > 0) this.#takenBy.set(id, left);
        else this.#takenBy.delete(id);
        this.#grant();
      },
    };
  }

  #countOf(id: string): number {
    return this.#takenBy.get(id) ?? 0;
  }
}
