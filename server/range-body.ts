import { StorageFault } from "../src/core/storage.ts";
import type { Patience } from "./patience.ts";

/**
 * The body of a part range, read part by part. At most one chunk of it is held, so that whatever has not been
 * read waits at the client's end.
 */
export interface RangeBody {
  /** Why no more bytes will come: the client has disconnected, or `end` was called. */
  readonly broken: StorageFault | null;
  /** The next `bytes` of it. One part at a time: the one before must be read or skipped. */
  part(bytes: number): PartBody;
  /** Reads nothing more. Whoever waits for bytes is told `reason`. */
  end(reason: StorageFault): void;
}

export interface PartBody {
  /**
   * The next bytes; null after the last ones, or once the part was skipped.
   *
   * @throws {StorageFault} `RangeBody.broken`
   */
  next(): Promise<Uint8Array | null>;
  /** Whether all of the part was read. */
  readonly isRead: boolean;
  /** Reads and drops the rest. A `next` that still waits gives nothing any more. */
  skip(): Promise<void>;
}

const NOTHING: Uint8Array = new Uint8Array();

/** @param patience how long the client is waited for */
export function rangeBody(stream: ReadableStream<Uint8Array> | null, patience: Patience): RangeBody {
  const reader = stream?.getReader();
  let chunk = NOTHING;
  let reading: Promise<void> | null = null;
  let broken: StorageFault | null = null;

  /**
   * Reads a chunk. All who wait share one read: the bytes that a skipped part had asked for are the first of
   * the next part.
   */
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
      patience.start();
      try {
        const { done, value } = (await reader?.read()) ?? { done: true };
        if (!done) chunk = value;
        else broken ??= clientGone();
      } catch (cause) {
        broken ??= clientGone(cause);
      } finally {
        patience.stop(chunk.length);
      }
    }
  }

  function splitOff(most: number): Uint8Array {
    const first = chunk.subarray(0, most);
    chunk = chunk.subarray(first.length);
    return first;
  }

  return {
    get broken() {
      return broken;
    },
    part(bytes) {
      let left = bytes;
      let isSkipped = false;
      return {
        get isRead() {
          return left === 0;
        },
        async next() {
          if (left === 0 || isSkipped) return null;
          await fill();
          if (isSkipped) return null;
          const bytes = splitOff(left);
          left -= bytes.length;
          return bytes;
        },
        async skip() {
          isSkipped = true;
          while (left > 0) {
            await fill();
            left -= splitOff(left).length;
          }
        },
      };
    },
    end(reason) {
      broken ??= reason;
      // Canceling also settles a pending read. A cancelation that fails concerns nobody any more.
      void reader?.cancel().catch(() => {});
    },
  };
}

export function clientGone(cause?: unknown): StorageFault {
  return new StorageFault("network", "NETWORK", { detail: "the client has disconnected", cause });
}
