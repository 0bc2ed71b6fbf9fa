import { StorageFault } from "../src/core/storage.ts";

// Chromium starts a request of a Background Fetch again: beside the copies that run, and after its connection has broken. At
// the sixth start, whatever became of the others, it fails the request by itself, and crashes if a copy is being read then.
const MOST_STARTS = 5;
// A copy that has just come may still fill the buffers of its connection, which counts as progress.
const SETTLE_MS = 2_000;
// Copies that were started before the result may wait for a connection for a while.
const REMEMBERED_MS = 5 * 60_000;
const MOST_REMEMBERED = 500;

/**
 * The relayed requests that are under way in this process, each with its copies.
 *
 * Chromium crashes if one copy of a request fails while another is being read. So one copy is read, the others are
 * held unread, and all of them are answered together.
 */
export interface RelaySlots<T> {
  /**
   * Runs `work` for the first copy of a request. Another copy runs nothing: it is held while the first is under way,
   * or was answered a few minutes ago, and gets the same result (`isTakenOver` says which results leave the request
   * to the next copy).
   *
   * @param range what tells one request from all others, its copies apart
   * @param work must read nothing more once `end` aborts; the reason is a `StorageFault`
   */
  run(range: string, signal: AbortSignal, work: (end: AbortSignal) => Promise<T>): Promise<T>;
}

export interface RelaySlotsOptions {
  /** Whether the next copy may do what failed with this error: the first one's client has gone. */
  readonly isTakenOver: (error: unknown) => boolean;
  /** Whether something of the body was read before this error, so that a copy may be read elsewhere, too. */
  readonly isHeldBack: (error: unknown) => boolean;
  /**
   * How long such an error is held back, in milliseconds: until a copy that another process reads has come to its
   * end.
   */
  readonly holdMs: number;
}

interface Running<T> {
  readonly result: Promise<T>;
  readonly end: AbortController;
  /** When the latest copy came, by `performance.now()`. */
  lastCopyAt: number;
}

interface Remembered<T> {
  readonly result: Promise<T>;
  readonly until: number;
}

export function createRelaySlots<T>({ isTakenOver, isHeldBack, holdMs }: RelaySlotsOptions): RelaySlots<T> {
  const ranges = new Map<string, Running<T>>();
  const remembered = new Map<string, Remembered<T>>();
  const starts = new Map<string, { readonly count: number; readonly until: number }>();

  function countStart(range: string): number {
    const now = performance.now();
    const known = starts.get(range);
    const count = known !== undefined && known.until > now ? known.count + 1 : 1;
    starts.delete(range);
    starts.set(range, { count, until: now + REMEMBERED_MS });
    dropOld(starts, now);
    return count;
  }

  function start(range: string, isLast: boolean, work: (end: AbortSignal) => Promise<T>): Promise<T> {
    const end = new AbortController();
    if (isLast) end.abort(startedTooOften());
    const result = work(end.signal).catch(async (error: unknown) => {
      if (!isTakenOver(error) && isHeldBack(error)) await heldBack(range);
      throw error;
    });
    ranges.set(range, { result, end, lastCopyAt: Number.NEGATIVE_INFINITY });
    result.then(
      () => forget(range, result, true),
      (error: unknown) => forget(range, result, !isTakenOver(error) && isHeldBack(error)),
    );
    return result;
  }

  function forget(range: string, result: Promise<T>, isRemembered: boolean): void {
    ranges.delete(range);
    if (!isRemembered) return;
    const now = performance.now();
    remembered.delete(range);
    remembered.set(range, { result, until: now + REMEMBERED_MS });
    dropOld(remembered, now);
  }

  async function heldBack(range: string): Promise<void> {
    const until = performance.now() + holdMs;
    for (;;) {
      const settledAt = (ranges.get(range)?.lastCopyAt ?? Number.NEGATIVE_INFINITY) + SETTLE_MS;
      const waitMs = Math.max(until, settledAt) - performance.now();
      if (waitMs <= 0) return;
      await new Promise<void>((resolve) => setTimeout(resolve, waitMs));
    }
  }

  return {
    async run(range, signal, work) {
      const isLast = countStart(range) >= MOST_STARTS;
      for (;;) {
        const known = remembered.get(range);
        if (known !== undefined && known.until > performance.now()) return known.result;
        const running = ranges.get(range);
        if (running === undefined) return start(range, isLast, work);
        running.lastCopyAt = performance.now();
        if (isLast) running.end.abort(startedTooOften());
        try {
          return await settledOrAborted(running.result, signal);
        } catch (error) {
          if (signal.aborted || !isTakenOver(error)) throw error;
        }
      }
    },
  };
}

/** The oldest come first. */
function dropOld(entries: Map<string, { readonly until: number }>, now: number): void {
  for (const [key, { until }] of entries)
    if (until <= now || entries.size > MOST_REMEMBERED) entries.delete(key);
    else break;
}

function startedTooOften(): StorageFault {
  return new StorageFault("transient", "SERVER_ERROR", {
    detail: "the browser has started this request five times, and would fail it at the sixth",
  });
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
