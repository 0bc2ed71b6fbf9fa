import { type PartPlan, partRange } from "./plan-parts.ts";

/** Neighbouring parts of one upload that travel as one request body. */
export interface Run {
  readonly uploadId: string;
  /** Number of its first part. */
  readonly first: number;
  /** How many parts it has. */
  readonly count: number;
}

export interface RunSource {
  readonly uploadId: string;
  readonly plan: PartPlan;
  readonly isDone: (partNumber: number) => boolean;
}

/** Requests in one Background Fetch. Their number is what costs: about 20 are started in 5 s, whatever their size. */
export const MAX_RUNS = 48;

/**
 * Cuts all that is missing of several uploads into at most `MAX_RUNS` runs of about the same size. The last run of the
 * last upload comes first: the worker goes on from the front meanwhile, and the two should meet as late as they can.
 *
 * Where so much is scattered that it does not fit, the smallest pieces are left out, for the worker.
 */
export function planRuns(sources: readonly RunSource[], maxRuns = MAX_RUNS): Run[] {
  const gaps = sources.flatMap(gapsOf);
  const chosen = new Set([...gaps].sort((a, b) => b.bytes - a.bytes).slice(0, maxRuns));
  const kept = gaps.filter((gap) => chosen.has(gap));
  const bytes = kept.reduce((sum, gap) => sum + gap.bytes, 0);
  // Cutting a gap into pieces of this size gives at most one piece more than its share of the rest.
  const spare = maxRuns - kept.length;
  return kept.flatMap((gap) => cut(gap, spare > 0 ? bytes / spare : Number.POSITIVE_INFINITY)).reverse();
}

interface Gap extends Run {
  readonly plan: PartPlan;
  readonly bytes: number;
}

/** The stretches of neighbouring parts that are missing. */
function gapsOf({ uploadId, plan, isDone }: RunSource): Gap[] {
  const gaps: Gap[] = [];
  for (let first = 1; first <= plan.partCount; first++) {
    if (isDone(first)) continue;
    let next = first + 1;
    while (next <= plan.partCount && !isDone(next)) next += 1;
    gaps.push({ uploadId, plan, first, count: next - first, bytes: runBytes(plan, first, next - first) });
    first = next;
  }
  return gaps;
}

function cut({ uploadId, plan, first, count, bytes }: Gap, targetBytes: number): Run[] {
  // A file of no bytes still has its one empty part.
  const partsInRun =
    bytes === 0 ? count : Math.min(count, Math.max(1, Math.ceil(targetBytes / plan.partSize)));
  const runs: Run[] = [];
  for (let done = 0; done < count; done += partsInRun)
    runs.push({ uploadId, first: first + done, count: Math.min(partsInRun, count - done) });
  return runs;
}

export function runBytes(plan: PartPlan, first: number, count: number): number {
  return partRange(plan, first + count - 1).end - partRange(plan, first).start;
}

/** Part numbers of a run, ascending. */
export function partsOf({ first, count }: Pick<Run, "first" | "count">): number[] {
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
