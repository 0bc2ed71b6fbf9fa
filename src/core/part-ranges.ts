import { type PartPlan, partByteRange } from "./part-plan.ts";

/** Neighbouring parts of one upload that travel as one request body. */
export interface PartRange {
  readonly uploadId: string;
  /** Number of its first part. */
  readonly first: number;
  /** How many parts it has. */
  readonly count: number;
}

export interface PartRangeSource {
  readonly uploadId: string;
  readonly plan: PartPlan;
  readonly isDone: (partNumber: number) => boolean;
}

/** Requests in one Background Fetch. Their number is what costs: about 20 are started in 5 s, whatever their size. */
export const MAX_PART_RANGES = 48;

/**
 * Cuts all that is missing of several uploads into at most `MAX_PART_RANGES` runs of about the same size. The last run of the
 * last upload comes first: the worker goes on from the front meanwhile, and the two should meet as late as they can.
 *
 * Where so much is scattered that it does not fit, the smallest pieces are left out, for the worker.
 */
export function planPartRanges(
  sources: readonly PartRangeSource[],
  maxRanges = MAX_PART_RANGES,
): PartRange[] {
  const gaps = sources.flatMap(gapsOf);
  const chosen = new Set([...gaps].sort((a, b) => b.bytes - a.bytes).slice(0, maxRanges));
  const kept = gaps.filter((gap) => chosen.has(gap));
  const bytes = kept.reduce((sum, gap) => sum + gap.bytes, 0);
  // Cutting a gap into pieces of this size gives at most one piece more than its share of the rest.
  const spare = maxRanges - kept.length;
  return kept.flatMap((gap) => cut(gap, spare > 0 ? bytes / spare : Number.POSITIVE_INFINITY)).reverse();
}

interface Gap extends PartRange {
  readonly plan: PartPlan;
  readonly bytes: number;
}

/** The stretches of neighbouring parts that are missing. */
function gapsOf({ uploadId, plan, isDone }: PartRangeSource): Gap[] {
  const gaps: Gap[] = [];
  for (let first = 1; first <= plan.partCount; first++) {
    if (isDone(first)) continue;
    let next = first + 1;
    while (next <= plan.partCount && !isDone(next)) next += 1;
    gaps.push({
      uploadId,
      plan,
      first,
      count: next - first,
      bytes: partRangeBytes(plan, first, next - first),
    });
    first = next;
  }
  return gaps;
}

function cut({ uploadId, plan, first, count, bytes }: Gap, targetBytes: number): PartRange[] {
  // A file of no bytes still has its one empty part.
  const partsInRun =
    bytes === 0 ? count : Math.min(count, Math.max(1, Math.ceil(targetBytes / plan.partSize)));
  const runs: PartRange[] = [];
  for (let done = 0; done < count; done += partsInRun)
    runs.push({ uploadId, first: first + done, count: Math.min(partsInRun, count - done) });
  return runs;
}

export function partRangeBytes(plan: PartPlan, first: number, count: number): number {
  return partByteRange(plan, first + count - 1).end - partByteRange(plan, first).start;
}

/** Part numbers of a run, ascending. */
export function partNumbersOf({ first, count }: Pick<PartRange, "first" | "count">): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

/**
 * Puts items into the places of an array from which Chromium 156 starts them in the given order: it goes by the indices as
 * text, so 0, 1, 10, 11, …, 19, 2, 20, ….
 */
export function inStartOrder<T>(items: readonly T[]): T[] {
  const places = items.map((_, index) => String(index)).sort();
  const ordered: T[] = [];
  for (const [turn, item] of items.entries()) ordered[Number(places[turn])] = item;
  return ordered;
}
