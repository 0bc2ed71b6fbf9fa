import { beforeEach, describe, expect, test } from "vitest";
import type { WireSnapshot } from "../../../src/core/snapshot.ts";
import type { Broadcast } from "../../../src/protocol/protocol.ts";
import { Publisher } from "../../../sw/engine/publisher.ts";
import { virtualClock } from "../../support/virtual-clock.ts";
import { VirtualTime } from "../../support/virtual-time.ts";

const NAME = "backhaul:https://app.test/";
let time: VirtualTime;
let posted: Map<string, unknown[]>;
let closed: string[];
let known: Set<string>;
let publisher: Publisher;
/** The speed of all uploads; undefined while none is being sent. */
let moving: (() => number) | undefined;

beforeEach(() => {
  time = new VirtualTime();
  posted = new Map();
  closed = [];
  known = new Set(["a", "b"]);
  moving = undefined;
  const openChannel = (name: string) => {
    const messages: unknown[] = [];
    posted.set(name, messages);
    return { post: (message: unknown) => messages.push(message), close: () => closed.push(name) };
  };
  const snapshotOf = (id: string) =>
    known.has(id)
      ? ({ id, ...(moving && { state: "uploading", bytesPerSecond: moving() }) } as WireSnapshot)
      : undefined;
  publisher = new Publisher(
    NAME,
    { clock: virtualClock(time), openChannel, uuid: () => "epoch" },
    snapshotOf,
  );
});

const broadcasts = () => posted.get(NAME) ?? [];

describe("what has changed", () => {
  test("is told together and once, a frame after a rest", async () => {
    for (const id of ["a", "b", "a", "gone"]) publisher.touch(id);
    await time.runUntil(15);
    expect(broadcasts()).toEqual([]);
    publisher.touch("a");
    await time.runUntil(16);
    expect(broadcasts()).toMatchObject([
      {
        type: "changed",
        epoch: "epoch",
        sequence: 1,
        changed: [{ id: "a" }, { id: "b" }],
        removed: ["gone"],
      },
    ]);
    publisher.touch("b");
    await time.runUntil(32);
    expect(broadcasts()).toMatchObject([{}, { sequence: 2, changed: [{ id: "b" }], removed: [] }]);
    expect(time.nextAt).toBeUndefined();
  });

  test("is told at most 10 times in any second, and within 150 ms", async () => {
    const toldAt: number[] = [];
    for (let at = 0; at < 5_000; at += 5) {
      publisher.touch("a");
      await time.runUntil(at);
      while (toldAt.length < broadcasts().length) toldAt.push(at);
    }
    for (const [index, at] of toldAt.entries()) {
      expect(toldAt.filter((other) => other >= at && other < at + 1_000).length).toBeLessThanOrEqual(10);
      expect(at - (toldAt[index - 1] ?? 0)).toBeLessThanOrEqual(155);
    }
    expect(toldAt.length).toBeGreaterThan(30);
  });

  test("is told in messages of 250 uploads, which have one number, so that no page is held up by a large one", async () => {
    const ids = Array.from({ length: 600 }, (_, index) => String(index));
    for (const id of ids) known.add(id);
    for (const id of [...ids, "gone"]) publisher.touch(id);
    await time.runUntil(100);
    const told = broadcasts() as Broadcast[];
    expect(told.map(({ sequence, slice, isLast }) => [sequence, slice, isLast])).toEqual([
      [1, 0, false],
      [1, 1, false],
      [1, 2, true],
    ]);
    expect(told.map(({ changed }) => changed.length)).toEqual([250, 250, 100]);
    expect(told.flatMap(({ changed }) => changed.map(({ id }) => id))).toEqual(ids);
    expect(told.flatMap(({ removed }) => removed)).toEqual(["gone"]);
  });

  test("is told as it is then, not as it was when it changed", async () => {
    publisher.touch("a");
    known.delete("a");
    await time.runUntil(100);
    expect(broadcasts()).toMatchObject([{ changed: [], removed: ["a"] }]);
  });

  test("is marked by the broadcast that tells it; a list starts from the last one", async () => {
    expect(publisher.promiseMark()).toEqual({ epoch: "epoch", sequence: 0 });
    publisher.touch("a");
    expect(publisher.promiseMark()).toEqual({ epoch: "epoch", sequence: 1 });
    expect(publisher.list([])).toEqual({ epoch: "epoch", sequence: 0, uploads: [] });
    await time.runUntil(100);
    expect(publisher.promiseMark()).toEqual({ epoch: "epoch", sequence: 1 });
    expect(publisher.list([]).sequence).toBe(1);
  });
});

test("parts that S3 has are told at once, on a channel of their own", () => {
  publisher.partsDone("a", [1, 2]);
  const [channel] = [...posted.keys()].filter((name) => name !== NAME);
  expect(posted.get(channel as string)).toMatchObject([{ type: "partsDone", id: "a", partNumbers: [1, 2] }]);
  expect(broadcasts()).toEqual([]);
});

test("a closed publisher tells nothing, not even a change that was due", async () => {
  publisher.touch("a");
  publisher.close();
  publisher.partsDone("a", [1]);
  await time.runUntil(1_000);
  expect([...posted.values()].flat()).toEqual([]);
  expect(closed).toHaveLength(2);
});

describe("an upload that is being sent", () => {
  test("has its speed told as it falls, and no more once it is 0", async () => {
    moving = () => Math.max(0, 10 - Math.floor(time.elapsed / 1_000));
    publisher.touch("a");
    await time.runUntil(600_000);
    const told = broadcasts() as { readonly changed: readonly WireSnapshot[] }[];
    const speeds = told.map(({ changed }) => changed[0]?.bytesPerSecond ?? Number.NaN);
    expect(speeds).toEqual(speeds.toSorted((a, b) => b - a));
    expect(speeds.at(-1)).toBe(0);
    expect(speeds.length).toBeLessThanOrEqual(11);
    expect(time.nextAt).toBeUndefined();
  });

  test("is not told again while nothing about it changes, unless somebody waits to hear it", async () => {
    moving = () => 0;
    publisher.touch("a");
    await time.runUntil(100);
    publisher.touch("a");
    await time.runUntil(1_000);
    expect(broadcasts()).toMatchObject([{ sequence: 1, changed: [{ id: "a" }] }]);
    publisher.touch("a");
    expect(publisher.promiseMark().sequence).toBe(2);
    await time.runUntil(2_000);
    expect(broadcasts().slice(1)).toMatchObject([{ sequence: 2, changed: [], removed: [] }]);
  });
});
