import { StorageFault } from "../src/core/storage.ts";

/**
 * The body of a run, taken off part by part. One chunk of it is held at most, so that whatever is not taken waits at the
 * client's end.
 */
export interface RunBody {
  /** Why no more will come: the client has gone, or was sent away by `end`. */
  readonly broken: StorageFault | null;
  /** Somebody waits for the client to send. */
  readonly isAwaited: boolean;
  /** The next `bytes` of it. One part at a time: the one before must be taken or skipped. */
  part(bytes: number): PartBody;
  /** Lets go of what has not come yet. Whoever waits for it is told `reason`. */
  end(reason: StorageFault): void;
}

export interface PartBody {
  /**
   * The next bytes; null after the last ones, or once it was skipped.
   *
   * @throws {StorageFault} `RunBody.broken`
   */
  next(): Promise<Uint8Array | null>;
  /** Whether all of it was taken. */
  readonly isTaken: boolean;
  /** Reads and drops the rest. A `next` that still waits gives nothing any more. */
  skip(): Promise<void>;
}

const NOTHING: Uint8Array = new Uint8Array();

/** @param onMove is called whenever bytes are taken */
export function runBody(stream: ReadableStream<Uint8Array> | null, onMove: () => void): RunBody {
  const reader = stream?.getReader();
  let chunk = NOTHING;
  let reading: Promise<void> | null = null;
  let broken: StorageFault | null = null;

  /** Shared by all who wait: what a skipped part had asked for is the first of what comes next. */
  async function fill(): Promise<void> {
    if (chunk.length > 0) return;
    reading ??= read().finally(() => {
      reading = null;
    });
    await reading;
  }

  async function read(): Promise<void> {
    while (chunk.length === 0) {
      if (broken !== null) throw broken;
      try {
        const { done, value } = (await reader?.read()) ?? { done: true };
        if (!done) chunk = value;
        else broken ??= clientGone();
      } catch (cause) {
        broken ??= clientGone(cause);
      }
    }
  }

  function take(most: number): Uint8Array {
    const taken = chunk.subarray(0, most);
    chunk = chunk.subarray(taken.length);
    onMove();
    return taken;
  }

  return {
    get broken() {
      return broken;
    },
    get isAwaited() {
      return reading !== null;
    },
    part(bytes) {
      let left = bytes;
      let isSkipped = false;
      return {
        get isTaken() {
          return left === 0;
        },
        async next() {
          if (left === 0 || isSkipped) return null;
          await fill();
          if (isSkipped) return null;
          const taken = take(left);
          left -= taken.length;
          return taken;
        },
        async skip() {
          isSkipped = true;
          while (left > 0) {
            await fill();
            left -= take(left).length;
          }
        },
      };
    },
    end(reason) {
      broken ??= reason;
      // Also settles a read that waits. Nobody is left whom a failure would concern.
      void reader?.cancel().catch(() => {});
    },
  };
}

export function clientGone(cause?: unknown): StorageFault {
  return new StorageFault("network", "NETWORK", { detail: "the client has gone", cause });
}
