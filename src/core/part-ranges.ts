import { MIB } from "./limits.ts";
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

/**
 * Requests in one Background Fetch. Chromium 156 started 400 that were handed over in `pagehide` after 5 s, each of 4 runs up to
 * there, and 800 not within 80 s.
 */
export const MAX_PART_RANGES = 200;
/** Requests that Chromium sends at a time, which share the link. */
const AT_ONCE = 2;
/**
 * How long a range should take. From 30 s on Chromium sends copies of it beside it, and a death costs what has arrived of its
 * last part.
 */
const RANGE_SECONDS = 10;
/** Whatever the link is: a fast one may become slow. */
const MAX_RANGE_BYTES = 256 * MIB;
/** In bytes per second, where nothing was measured: slow, so that ranges are short. */
const UNKNOWN_SPEED = 500_000;

export interface PartRangeLimits {
  /** What the link carries altogether; null where that was not measured. */
  readonly bytesPerSecond: number | null;
  /** @default MAX_PART_RANGES */
  readonly maxRanges?: number;
}

/**
 * Cuts all that is missing of several uploads into ranges that take about 10 s each, or longer where more would be needed than
 * one Background Fetch bears, or where a single part takes longer. The last range of the last upload comes first: the worker
 * goes on from the front meanwhile, and the two should meet as late as they can.
 *
 * Where so much is scattered that it does not fit, the smallest pieces are left out, for the worker.
 */
export function planPartRanges(
  sources: readonly PartRangeSource[],
  { bytesPerSecond, maxRanges = MAX_PART_RANGES }: PartRangeLimits,
): PartRange[] {
  const gaps = sources.flatMap(gapsOf);
  const chosen = new Set([...gaps].sort((a, b) => b.bytes - a.bytes).slice(0, maxRanges));
  const kept = gaps.filter((gap) => chosen.has(gap));
  const bytes = kept.reduce((sum, gap) => sum + gap.bytes, 0);
  const timelyBytes = Math.min(
    ((bytesPerSecond ?? UNKNOWN_SPEED) * RANGE_SECONDS) / AT_ONCE,
    MAX_RANGE_BYTES,
  );
  // Cutting a gap into pieces of this size gives at most one piece more than its share of the rest.
  const spare = maxRanges - kept.length;
  const leastBytes = spare > 0 ? bytes / spare : Number.POSITIVE_INFINITY;
  return kept.flatMap((gap) => cut(gap, timelyBytes, leastBytes)).reverse();
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

function cut(
  { uploadId, plan, first, count, bytes }: Gap,
  timelyBytes: number,
  leastBytes: number,
): PartRange[] {
  const timely = Math.floor(timelyBytes / plan.partSize);
  const least = Math.ceil(leastBytes / plan.partSize);
  // A file of no bytes still has its one empty part.
  const parts = bytes === 0 ? count : Math.min(count, Math.max(1, timely, least));
  const ranges: PartRange[] = [];
  for (let done = 0; done < count; done += parts)
    ranges.push({ uploadId, first: first + done, count: Math.min(parts, count - done) });
  return ranges;
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
