import type { UploadSnapshot } from "backhaul";

/** Many uploads as one. */
export interface Totals {
  /** Bytes of all files that are not canceled. */
  readonly size: number;
  /** `estimatedBytes` of the same uploads. */
  readonly estimatedBytes: number;
  /** How many have not ended. */
  readonly active: number;
  /** How many are done. */
  readonly done: number;
  /** How many have failed. */
  readonly failed: number;
}

/** Adds up a list of uploads, for one bar over all of them. */
export function totalsOf(list: readonly UploadSnapshot[]): Totals {
  const wanted = list.filter(({ state }) => state !== "canceled");
  const sum = (of: (upload: UploadSnapshot) => number) =>
    wanted.reduce((total, upload) => total + of(upload), 0);
  const done = sum(({ state }) => Number(state === "done"));
  const failed = sum(({ state }) => Number(state === "failed"));
  return {
    size: sum(({ size }) => size),
    estimatedBytes: sum(({ estimatedBytes }) => estimatedBytes),
    active: wanted.length - done - failed,
    done,
    failed,
  };
}
