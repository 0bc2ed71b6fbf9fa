import type { PartPlan } from "../core/part-plan.ts";
import { type PartRange, partRangeBytes } from "../core/part-ranges.ts";

/**
 * Cuts ranges again that are larger than what comes through to the relay. Parts that are too large by themselves are left out,
 * for the worker.
 */
export function fitRanges(
  ranges: readonly PartRange[],
  planOf: (uploadId: string) => PartPlan,
  maxBytes: number,
): PartRange[] {
  return ranges.flatMap((range) => {
    const plan = planOf(range.uploadId);
    const { uploadId, first, count } = range;
    if (partRangeBytes(plan, first, count) <= maxBytes) return [range];
    const parts = Math.max(1, Math.floor(maxBytes / plan.partSize));
    const fitting: PartRange[] = [];
    for (let done = 0; done < count; done += parts) {
      const piece = { uploadId, first: first + done, count: Math.min(parts, count - done) };
      if (partRangeBytes(plan, piece.first, piece.count) <= maxBytes) fitting.push(piece);
    }
    return fitting;
  });
}
