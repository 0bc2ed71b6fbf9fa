import type { VirtualTime } from "../../support/virtual-time.ts";

/**
 * One life of a script: of a worker, or of a page. Once it has ended, none of its timers fires and none of the promises that it
 * was given settles any more, so that it stands still at whatever `await` it had reached.
 */
export class Life {
  isAlive = true;
  readonly #time: VirtualTime;
  readonly #onEnd = new Set<() => void>();
  /** While the browser has frozen it, what is due waits. */
  #frozen: (() => void)[] | undefined;

  constructor(time: VirtualTime) {
    this.#time = time;
  }

  end(): void {
    if (!this.isAlive) return;
    this.isAlive = false;
    for (const callback of [...this.#onEnd]) callback();
    this.#onEnd.clear();
  }

  /** Returns its undo. */
  onEnd(callback: () => void): () => void {
    this.#onEnd.add(callback);
    return () => this.#onEnd.delete(callback);
  }

  freeze(): void {
    this.#frozen ??= [];
  }

  thaw(): void {
    const due = this.#frozen ?? [];
    this.#frozen = undefined;
    for (const callback of due) this.#run(callback);
  }

  after(ms: number, callback: () => void): () => void {
    return this.#time.after(ms, () => this.#run(callback));
  }

  every(ms: number, callback: () => void): () => void {
    let undo = () => {};
    const set = () => {
      undo = this.after(ms, () => {
        set();
        callback();
      });
    };
    set();
    return () => undo();
  }

  /** Calls back in this life's next moment. */
  soon(callback: () => void): void {
    this.after(0, callback);
  }

  /** Gives this life what the world outside has come to, after some milliseconds. */
  deliver<T>(outcome: Promise<T> | T, ms = 0): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = (callback: () => void) => {
        this.after(ms, callback);
      };
      Promise.resolve(outcome).then(
        (value) => settle(() => resolve(value)),
        (error: unknown) => settle(() => reject(error)),
      );
    });
  }

  #run(callback: () => void): void {
    if (!this.isAlive) return;
    if (this.#frozen) this.#frozen.push(callback);
    else callback();
  }
}
