import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  inStartOrder,
  MAX_PART_RANGES,
  type PartRangeSource,
  partNumbersOf,
  partRangeBytes,
  planPartRanges,
} from "../../src/core/part-ranges.ts";

function source(
  uploadId: string,
  partCount: number,
  done: readonly number[] = [],
  partSize = 10,
): PartRangeSource {
  const plan = { size: partCount * partSize - 3, partSize, partCount };
  return { uploadId, plan, isDone: (partNumber) => done.includes(partNumber) };
}

/** In bytes per second: a range of 10 s is smaller than a part. */
const slow = { bytesPerSecond: 1 };

describe("part ranges", () => {
  test("of a file that fits have a part each, the last part first", () => {
    expect(planPartRanges([source("a", 3)], slow)).toEqual([
      { uploadId: "a", first: 3, count: 1 },
      { uploadId: "a", first: 2, count: 1 },
      { uploadId: "a", first: 1, count: 1 },
    ]);
  });

  test("leave out what is done, and begin with the last upload", () => {
    expect(planPartRanges([source("a", 3, [1, 2]), source("b", 2, [2])], slow)).toEqual([
      { uploadId: "b", first: 1, count: 1 },
      { uploadId: "a", first: 3, count: 1 },
    ]);
  });

  test("of 10,000 parts are at most as many as a Background Fetch bears, and of about the same size", () => {
    const runs = planPartRanges([source("a", 10_000)], slow);
    expect(runs.length).toBeLessThanOrEqual(MAX_PART_RANGES);
    expect(runs.length).toBeGreaterThan(MAX_PART_RANGES / 2);
    expect(Math.max(...runs.map(({ count }) => count))).toBeLessThan(100);
  });

  test("take 10 s where two at a time share the link", () => {
    const ranges = planPartRanges([source("a", 100)], { bytesPerSecond: 10 });
    expect(ranges).toHaveLength(20);
    expect(ranges.every(({ count }) => count === 5)).toBe(true);
  });

  test("have a part at least, however slow the link, and are short where nothing was measured", () => {
    const large = source("a", 20, [], 5_000_000);
    for (const bytesPerSecond of [null, 0, 100_000])
      expect(planPartRanges([large], { bytesPerSecond })).toHaveLength(20);
  });

  test("are no larger than 256 MiB, however fast the link", () => {
    const [range] = planPartRanges([source("a", 100, [], 64 * 1024 * 1024)], { bytesPerSecond: 1e10 });
    expect(range?.count).toBe(4);
  });

  test("are the largest pieces, where more are scattered than fit", () => {
    const odd = Array.from({ length: 240 }, (_, index) => 2 * index + 1);
    const runs = planPartRanges([source("scattered", 480, odd), source("large", 20)], slow);
    expect(runs).toHaveLength(MAX_PART_RANGES);
    expect(runs[0]).toEqual({ uploadId: "large", first: 1, count: 20 });
  });

  test("of an empty file: its one empty part", () => {
    const empty = { uploadId: "e", plan: { size: 0, partSize: 5, partCount: 1 }, isDone: () => false };
    expect(planPartRanges([empty], slow)).toEqual([{ uploadId: "e", first: 1, count: 1 }]);
    expect(partRangeBytes(empty.plan, 1, 1)).toBe(0);
  });

  test("cover what is missing exactly once, never what is done, whatever is missing", () => {
    const anySource = fc
      .record({ partCount: fc.integer({ min: 1, max: 300 }), partSize: fc.integer({ min: 4, max: 50 }) })
      .chain(({ partCount, partSize }) =>
        fc
          .array(fc.integer({ min: 1, max: partCount }), { maxLength: 12 })
          .map((done) => ({ partCount, partSize, done })),
      );
    fc.assert(
      fc.property(fc.array(anySource, { minLength: 1, maxLength: 3 }), (wanted) => {
        const sources = wanted.map(({ partCount, partSize, done }, index) =>
          source(String(index), partCount, done, partSize),
        );
        const runs = planPartRanges(sources, slow);
        expect(runs.length).toBeLessThanOrEqual(MAX_PART_RANGES);
        for (const { uploadId, plan, isDone } of sources) {
          const sent = runs.filter((run) => run.uploadId === uploadId).flatMap(partNumbersOf);
          const missing = Array.from({ length: plan.partCount }, (_, index) => index + 1).filter(
            (partNumber) => !isDone(partNumber),
          );
          expect(sent.sort((a, b) => a - b)).toEqual(missing);
        }
      }),
    );
  });
});

test("the order of starting is that of the indices as text", () => {
  const items = Array.from({ length: 25 }, (_, index) => index);
  const placed = inStartOrder(items);
  const started = [...placed.keys()]
    .map(String)
    .sort()
    .map((index) => placed[Number(index)]);
  expect(started).toEqual(items);
  expect(placed).not.toEqual(items);
});
