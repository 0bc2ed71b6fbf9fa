import { StorageFault } from "../src/core/storage.ts";

// Chromium starts a request of a Background Fetch again beside the copies that run, up to six times.
const MAX_COPIES = 8;
// A place becomes free when a request ends, which nobody knows the time of.
const RETRY_AFTER_MS = 30_000;

/** The relayed requests that are under way in this process. */
export interface RelaySlots<T> {
  /**
   * Runs `work` in one of the owner's places. A second request for the same range runs nothing while the
   * first is under way, and then shares its result: Chromium crashes if one copy of a request fails while
   * another is being read (`isTakenOver` says which results leave the range to the next copy).
   *
   * @param owner null for an upload that belongs to nobody, which is not counted
   * @param range what tells one part range from all others
   * @throws {StorageFault} transient, `RATE_LIMITED`, if the owner has no place left
   */
  run(owner: string | null, range: string, signal: AbortSignal, work: () => Promise<T>): Promise<T>;
}

interface Running<T> {
  readonly result: Promise<T>;
  copies: number;
}

export function createRelaySlots<T>(
  mostPerOwner: number,
  isTakenOver: (error: unknown) => boolean,
): RelaySlots<T> {
  const counts = new Map<string, number>();
  const ranges = new Map<string, Running<T>>();

  async function runFirst(owner: string | null, range: string, work: () => Promise<T>): Promise<T> {
    if (owner !== null) {
      const count = counts.get(owner) ?? 0;
      if (count >= mostPerOwner) throw tooMany(`${mostPerOwner} relayed requests of one owner at once`);
      counts.set(owner, count + 1);
    }
    const result = work();
    ranges.set(range, { result, copies: 0 });
    try {
      return await result;
    } finally {
      ranges.delete(range);
      if (owner !== null) {
        const count = (counts.get(owner) ?? 1) - 1;
        if (count === 0) counts.delete(owner);
        else counts.set(owner, count);
      }
    }
  }

  return {
    async run(owner, range, signal, work) {
      for (;;) {
        const running = ranges.get(range);
        if (running === undefined) return runFirst(owner, range, work);
        if (running.copies >= MAX_COPIES) throw tooMany(`${MAX_COPIES} copies of one relayed request`);
        running.copies++;
        try {
          return await settledOrAborted(running.result, signal);
        } catch (error) {
          if (signal.aborted || !isTakenOver(error)) throw error;
        } finally {
          running.copies--;
        }
      }
    },
  };
}

function tooMany(detail: string): StorageFault {
  return new StorageFault("transient", "RATE_LIMITED", { detail, retryAfterMs: RETRY_AFTER_MS });
}

function settledOrAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () =>
      reject(
        new StorageFault("network", "NETWORK", {
          detail: "the client has disconnected",
          cause: signal.reason,
        }),
      );
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
