/**
 * A clock that jumps from one due callback to the next. What callbacks set going is run to its end before time goes on, so that
 * one seed always gives one history.
 */
export class VirtualTime {
  /** Milliseconds since the simulation began. */
  elapsed = 0;
  readonly #heap: Entry[] = [];
  #count = 0;
  /** Work outside virtual time (cryptography, say) that must end before time goes on. */
  readonly #pending = new Set<Promise<unknown>>();

  /** Calls back once after `ms`, in whole milliseconds as browsers do, unless undone. */
  after(ms: number, callback: () => void): () => void {
    const wait = Number.isFinite(ms) ? Math.max(0, Math.ceil(ms)) : 0;
    const entry: Entry = { at: this.elapsed + wait, turn: this.#count++, callback };
    this.#push(entry);
    return () => {
      entry.callback = undefined;
    };
  }

  /** Settles after `ms`. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  /** Lets real work end before time goes on. */
  freezeFor<T>(work: Promise<T>): Promise<T> {
    this.#pending.add(work);
    const settled = () => this.#pending.delete(work);
    work.then(settled, settled);
    return work;
  }

  /** When the next callback is due, by `elapsed`; undefined if there is none. */
  get nextAt(): number | undefined {
    while (this.#heap[0] && !this.#heap[0].callback) this.#pop();
    return this.#heap[0]?.at;
  }

  /** Goes to the next callback and runs it, and all that follows from it at once. False if there is none. */
  async step(): Promise<boolean> {
    if (this.nextAt === undefined) return false;
    const { at, callback } = this.#pop() as Entry;
    this.elapsed = Math.max(this.elapsed, at);
    callback?.();
    await this.settle();
    return true;
  }

  /** Runs everything that is due until then, by `elapsed`, and goes there. */
  async runUntil(end: number): Promise<void> {
    // Work that was started just before may ask for the first callback.
    await this.settle();
    while ((this.nextAt ?? Number.POSITIVE_INFINITY) <= end) await this.step();
    this.elapsed = Math.max(this.elapsed, end);
  }

  /** Waits until nothing can go on without time. */
  async settle(): Promise<void> {
    do {
      if (this.#pending.size > 0) await Promise.allSettled(this.#pending);
      await new Promise<void>((resolve) => setImmediate(resolve));
    } while (this.#pending.size > 0);
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let index = heap.push(entry) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isSooner(heap[index] as Entry, heap[parent] as Entry)) break;
      swap(heap, index, parent);
      index = parent;
    }
  }

  #pop(): Entry | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (!first || !last || heap.length === 0) return first;
    heap[0] = last;
    for (let index = 0; ; ) {
      const left = 2 * index + 1;
      let least = index;
      for (const child of [left, left + 1])
        if (heap[child] && isSooner(heap[child], heap[least] as Entry)) least = child;
      if (least === index) return first;
      swap(heap, index, least);
      index = least;
    }
  }
}

interface Entry {
  readonly at: number;
  /** Of callbacks that are due together the one that was asked for first comes first. */
  readonly turn: number;
  callback: (() => void) | undefined;
}

function isSooner(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.turn < b.turn);
}

function swap(heap: Entry[], a: number, b: number): void {
  const kept = heap[a] as Entry;
  heap[a] = heap[b] as Entry;
  heap[b] = kept;
}
