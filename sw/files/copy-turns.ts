/** Copies that are made at once: two transactions of small ones, of which the next one fills while the first is committed. */
const MOST_COPIES = 1_024;

interface Turn {
  readonly bytes: number;
  readonly start: () => void;
}

/** Whose file is copied when: in the order of the calls, small ones together. */
export class CopyTurns {
  readonly #mostBytes: number;
  readonly #waiting: Turn[] = [];
  #copies = 0;
  #bytes = 0;

  /** @param mostBytes of all copies that are made at once, unless a single one has more */
  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** Runs `copy` in its turn, and settles as it does. */
  run(bytes: number, copy: () => Promise<void>): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const start = () =>
        void copy()
          .then(resolve, reject)
          .finally(() => this.#ended(bytes));
      this.#waiting.push({ bytes, start });
      this.#startNext();
    });
  }

  #startNext(): void {
    for (let next = this.#waiting[0]; next && this.#hasPlaceFor(next.bytes); next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#copies += 1;
      this.#bytes += next.bytes;
      next.start();
    }
  }

  #hasPlaceFor(bytes: number): boolean {
    return this.#copies === 0 || (this.#copies < MOST_COPIES && this.#bytes + bytes <= this.#mostBytes);
  }

  #ended(bytes: number): void {
    this.#copies -= 1;
    this.#bytes -= bytes;
    this.#startNext();
  }
}
