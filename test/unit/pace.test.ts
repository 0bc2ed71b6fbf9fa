import { beforeEach, describe, expect, test } from "vitest";
import { MIB } from "../../src/core/limits.ts";
import { StorageFault } from "../../src/core/storage.ts";
import { PartPace } from "../../sw/parts/pace.ts";
import { settlementOf } from "../support/settlement.ts";
import { virtualClock } from "../support/virtual-clock.ts";
import { VirtualTime } from "../support/virtual-time.ts";

interface Turn {
  readonly id: string;
  readonly at: number;
}

const never = new AbortController().signal;
let time: VirtualTime;
let changes: number[];
let pace: PartPace<Turn>;

function makePace(capacity: number): PartPace<Turn> {
  return new PartPace<Turn>({
    capacity,
    perUpload: capacity,
    compare: (a, b) => a.at - b.at,
    clock: virtualClock(time),
    onChange: (parts) => changes.push(parts),
  });
}

beforeEach(() => {
  time = new VirtualTime();
  changes = [];
  pace = makePace(8);
});

/** A part of so many bytes that took so long and arrives now, with all places taken. */
function arrive(bytes: number, ms: number, wasFull = true): void {
  pace.arrived({ bytes, startedAt: time.elapsed - ms, endedAt: time.elapsed, wasFull });
}

describe("the speed of a part", () => {
  test("is not known before one has arrived", () => {
    expect([pace.partSpeed, pace.steadySpeed]).toEqual([null, null]);
  });

  test("is that of the last one", () => {
    arrive(2 * MIB, 1_000);
    arrive(MIB, 2_000);
    expect(pace.partSpeed).toBe(MIB / 2);
  });

  test("is smoothed over those that are large enough to say something of the link", () => {
    arrive(4 * MIB, 1_000);
    expect(pace.steadySpeed).toBe(4 * MIB);
    arrive(1_000, 1_000);
    expect([pace.partSpeed, pace.steadySpeed]).toEqual([1_000, 4 * MIB]);
    arrive(2 * MIB, 1_000);
    expect(pace.steadySpeed).toBe(3 * MIB);
  });

  test("is finite for a part that took no time", () => {
    arrive(MIB, 0);
    expect(pace.partSpeed).toBe(1_000 * MIB);
  });

  test("is not measured by an empty part: a speed of zero would give no time to the next", () => {
    arrive(0, 1_000);
    expect([pace.partSpeed, pace.steadySpeed]).toEqual([null, null]);
    arrive(2 * MIB, 1_000);
    arrive(0, 1_000);
    expect(pace.partSpeed).toBe(2 * MIB);
  });

  test.each(["SLOW_DOWN", "STALLED"] as const)("is forgotten once S3 or the link was slow: %s", (code) => {
    arrive(2 * MIB, 1_000);
    pace.failed(new StorageFault("transient", code));
    expect([pace.partSpeed, pace.steadySpeed]).toEqual([null, 2 * MIB]);
  });

  test.each(["NETWORK", "SERVER_ERROR", "BAD_DIGEST"] as const)("is kept after other faults: %s", (code) => {
    arrive(2 * MIB, 1_000);
    pace.failed(new StorageFault("transient", code));
    expect(pace.partSpeed).toBe(2 * MIB);
    expect(changes).toEqual([]);
  });
});

describe("the slots", () => {
  const ask = (at: number) => settlementOf(pace.acquire({ id: `upload ${at}`, at }, never));

  test("are two at first, and more as that pays; whoever waits gets them at once", async () => {
    const asked = [1, 2, 3, 4, 5].map(ask);
    await time.settle();
    expect(asked.map(({ state }) => state)).toEqual([
      "fulfilled",
      "fulfilled",
      "pending",
      "pending",
      "pending",
    ]);
    await time.runUntil(2_000);
    arrive(MIB, 1_000);
    arrive(MIB, 1_000);
    expect(changes).toEqual([4]);
    await time.settle();
    expect(asked.filter(({ state }) => state === "fulfilled")).toHaveLength(4);
  });

  test("become fewer when S3 asks for it, and none is given again until they fit", async () => {
    const asked = [1, 2, 3].map(ask);
    await time.settle();
    pace.failed(new StorageFault("transient", "SLOW_DOWN"));
    expect(changes).toEqual([1]);
    asked[0]?.value?.release();
    await time.settle();
    expect(asked[2]?.state).toBe("pending");
    asked[1]?.value?.release();
    await time.settle();
    expect(asked[2]?.state).toBe("fulfilled");
  });

  test("stay as they are, and nobody is told, when a part says nothing about the link", () => {
    arrive(MIB, 1_000, false);
    arrive(MIB, 1_000, false);
    expect(changes).toEqual([]);
  });

  test("are never less than one", () => {
    for (let times = 0; times < 3; times++) pace.failed(new StorageFault("transient", "SLOW_DOWN"));
    expect(changes).toEqual([1]);
  });

  test("are never more than the app allows", async () => {
    pace = makePace(1);
    const asked = [1, 2].map(ask);
    await time.settle();
    arrive(MIB, 1_000);
    arrive(MIB, 1_000);
    expect(changes).toEqual([]);
    expect(asked.map(({ state }) => state)).toEqual(["fulfilled", "pending"]);
  });

  test("are not waited for by an upload that is called off", async () => {
    const [, , waiting] = [ask(1), ask(2)].concat(
      settlementOf(pace.acquire({ id: "off", at: 0 }, AbortSignal.abort())),
    );
    await time.settle();
    expect(waiting).toMatchObject({ state: "fulfilled", value: undefined });
  });
});
