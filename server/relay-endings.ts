import { StorageFault } from "../src/core/storage.ts";

// Far more than browsers end within the time that an ending matters.
const MOST_KNOWN = 2_000;

/** The background fetches, or one upload's share in them, whose part ranges are not wanted any more. */
export interface RelayEndings {
  /** Notes that it was ended, if that is not known yet. Returns when it was first heard of, by `performance.now()`. */
  note(fetchId: string, uploadId: string): number;
  /** When it was first heard that this was ended; undefined if never. */
  at(fetchId: string, uploadId: string): number | undefined;
  /**
   * Calls `stop` when this is ended: at once, or between two parts.
   *
   * @returns what a range that has come to its end calls
   */
  watch(fetchId: string, uploadId: string, stop: (ending: RangeEnding) => Promise<void>): () => void;
  /** Ends what is under way of it. Settles once nothing of it is read or stored any more. */
  end(fetchId: string, uploadId: string, ending: RangeEnding): Promise<void>;
}

/** How a range is ended: with the part that is being read, or at once. */
export type RangeEnding = "afterPart" | "now";

export function createRelayEndings(): RelayEndings {
  const known = new Map<string, number>();
  const watching = new Map<string, Set<(ending: RangeEnding) => Promise<void>>>();
  const keyOf = (fetchId: string, uploadId: string) => `${fetchId}\n${uploadId}`;

  function note(fetchId: string, uploadId: string): number {
    const key = keyOf(fetchId, uploadId);
    const before = known.get(key);
    if (before !== undefined) return before;
    const now = performance.now();
    known.set(key, now);
    const [oldest] = known.keys();
    if (known.size > MOST_KNOWN && oldest !== undefined) known.delete(oldest);
    return now;
  }

  return {
    note,
    at: (fetchId, uploadId) => known.get(keyOf(fetchId, uploadId)),
    watch(fetchId, uploadId, stop) {
      const key = keyOf(fetchId, uploadId);
      const stops = watching.get(key) ?? new Set();
      watching.set(key, stops.add(stop));
      return () => {
        stops.delete(stop);
        if (stops.size === 0) watching.delete(key);
      };
    },
    async end(fetchId, uploadId, ending) {
      note(fetchId, uploadId);
      await Promise.all([...(watching.get(keyOf(fetchId, uploadId)) ?? [])].map((stop) => stop(ending)));
    },
  };
}

export function takenBack(): StorageFault {
  return new StorageFault("partsMismatch", "PARTS_MISMATCH", {
    detail: "this background fetch was taken back",
  });
}
