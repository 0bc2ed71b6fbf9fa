/** Whoever comes after them waits until their transaction is committed. */
const LARGEST_GROUP = 128;

interface Write<Transaction> {
  readonly work: (tx: Transaction) => Promise<unknown>;
  readonly resolve: (result: never) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Runs what comes while a transaction is under way together in the next one. A commit takes milliseconds, however little is
 * in it, and thousands of small uploads would wait for one after another.
 */
export class GroupedWrites<Transaction> {
  readonly #write: (work: (tx: Transaction) => Promise<void>) => Promise<void>;
  readonly #waiting: Write<Transaction>[] = [];
  readonly #largestGroup: number;
  #isWriting = false;

  /**
   * @param write runs its argument in a transaction, and rejects if nothing of it is kept
   * @param largestGroup the most writes of one transaction
   */
  constructor(
    write: (work: (tx: Transaction) => Promise<void>) => Promise<void>,
    largestGroup: number = LARGEST_GROUP,
  ) {
    this.#write = write;
    this.#largestGroup = largestGroup;
  }

  /** Settles once the transaction that `work` has run in is committed, or nothing of `work` is kept. */
  add<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ work, resolve, reject });
      if (!this.#isWriting) void this.#writeAll();
    });
  }

  async #writeAll(): Promise<void> {
    this.#isWriting = true;
    // Whatever comes in the same turn is written together.
    await Promise.resolve();
    while (this.#waiting.length > 0) await this.#writeTogether(this.#waiting.splice(0, this.#largestGroup));
    this.#isWriting = false;
  }

  async #writeTogether(group: readonly Write<Transaction>[]): Promise<void> {
    const results: unknown[] = [];
    try {
      await this.#write(async (tx) => {
        results.length = 0;
        // One after another: each is conditional on what the one before has left.
        for (const { work } of group) results.push(await work(tx));
      });
    } catch (error) {
      if (group.length === 1) group[0]?.reject(error);
      // The others have done nothing wrong.
      else for (const each of group) await this.#writeTogether([each]);
      return;
    }
    for (const [index, { resolve }] of group.entries()) resolve(results[index] as never);
  }
}
