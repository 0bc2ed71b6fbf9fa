import { StorageFault } from "../src/core/storage.ts";
import type { OwnerCounts } from "./owner-counts.ts";

// A place becomes free when a request ends, which nobody knows the time of.
const RETRY_AFTER_MS = 30_000;

/** How many relayed requests of each owner are being read. */
export interface OwnerPlaces {
  /**
   * Runs `work` in one of the owner's places.
   *
   * @param owner null for an upload that belongs to nobody, which is not counted
   * @throws {StorageFault} transient, `RATE_LIMITED`, if the owner has no place left
   */
  run<T>(owner: string | null, work: () => Promise<T>): Promise<T>;
}

/** @param counts shared by all servers; without them this process counts its own requests */
export function createOwnerPlaces(
  most: number,
  counts: Pick<OwnerCounts, "enterRelay"> = countsInMemory(),
): OwnerPlaces {
  return {
    async run(owner, work) {
      if (owner === null) return work();
      const leave = await counts.enterRelay(owner, most);
      if (leave === null)
        throw new StorageFault("transient", "RATE_LIMITED", {
          detail: `${most} relayed requests of one owner at once`,
          retryAfterMs: RETRY_AFTER_MS,
        });
      try {
        return await work();
      } finally {
        await leave();
      }
    },
  };
}

function countsInMemory(): Pick<OwnerCounts, "enterRelay"> {
  const counts = new Map<string, number>();
  return {
    async enterRelay(owner, most) {
      const count = counts.get(owner) ?? 0;
      if (count >= most) return null;
      counts.set(owner, count + 1);
      return async () => {
        const left = (counts.get(owner) ?? 1) - 1;
        if (left === 0) counts.delete(owner);
        else counts.set(owner, left);
      };
    },
  };
}
