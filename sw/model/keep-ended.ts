import type { KeepEnded } from "../../src/core/options.ts";
import { owesAbort, type UploadRecord } from "./record.ts";

const DAY_MS = 24 * 3_600_000;
/** A page that waits for an upload has heard of its end by then, also one that the browser had frozen. */
const LEAST_KEPT_MS = 3_600_000;

/** Whether nobody needs it but to look back: it is done, or canceled with nothing left open at S3. */
function isHistory(record: UploadRecord): boolean {
  return (record.state === "done" || record.state === "canceled") && !owesAbort(record);
}

/**
 * Of these uploads, the ended ones that are not worth keeping any longer: too old, or more than enough of one owner's. What has
 * failed stays, since somebody should see it, and so does whatever has ended within the last hour.
 *
 * @param now milliseconds since 1970
 */
export function outdated<T extends { readonly record: UploadRecord }>(
  uploads: readonly T[],
  { days, count }: KeepEnded,
  now: number,
): T[] {
  const byOwner = new Map<string, T[]>();
  for (const upload of uploads) {
    if (!isHistory(upload.record)) continue;
    const own = byOwner.get(upload.record.owner);
    if (own) own.push(upload);
    else byOwner.set(upload.record.owner, [upload]);
  }
  const newestFirst = (a: T, b: T) => b.record.updatedAt - a.record.updatedAt;
  return [...byOwner.values()].flatMap((own) =>
    own.sort(newestFirst).filter(({ record: { updatedAt } }, index) => {
      const ageMs = now - updatedAt;
      return ageMs > LEAST_KEPT_MS && (index >= count || ageMs > days * DAY_MS);
    }),
  );
}
