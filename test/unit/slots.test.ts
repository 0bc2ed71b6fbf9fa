import { describe, expect, test } from "vitest";
import { PartSlots } from "../../sw/parts/slots.ts";

const never = new AbortController().signal;

/** Slots that note whose turn it was, with a release for each. */
function track(capacity: number, perUpload = capacity, uploadOf = (turn: number) => `upload ${turn}`) {
  const slots = new PartSlots<Turn>({
    capacity,
    perUpload,
    compare: (a, b) => Math.trunc(a.at) - Math.trunc(b.at),
  });
  const granted: number[] = [];
  const full: boolean[] = [];
  const releases = new Map<number, () => void>();
  const ask = async (turn: number, signal = never) => {
    const slot = await slots.acquire({ id: uploadOf(turn), at: turn }, signal);
    if (!slot) return false;
    granted.push(turn);
    full.push(slot.isFull);
    releases.set(turn, slot.release);
    return true;
  };
  return { slots, granted, full, ask, release: (turn: number) => releases.get(turn)?.() };
}

interface Turn {
  readonly id: string;
  readonly at: number;
}

/** Long enough for every promise that can settle. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("slots", () => {
  test("are given to as many as there are, and to the next when one is given back", async () => {
    const { granted, ask, release } = track(2);
    for (const turn of [1, 2, 3, 4]) void ask(turn);
    await settled();
    expect(granted).toEqual([1, 2]);
    release(2);
    await settled();
    expect(granted).toEqual([1, 2, 3]);
  });

  test("whoever's turn comes first, and of equals whoever came first", async () => {
    const { granted, ask, release } = track(1);
    // Turns are compared by their whole part.
    for (const turn of [0, 5.1, 3, 5.2, 4, 1]) void ask(turn);
    for (const turn of [0, 1, 3, 4, 5.1]) {
      await settled();
      release(turn);
    }
    await settled();
    expect(granted).toEqual([0, 1, 3, 4, 5.1, 5.2]);
  });

  test("a place given back twice is one place", async () => {
    const { granted, ask, release } = track(1);
    for (const turn of [1, 2, 3]) void ask(turn);
    await settled();
    release(1);
    release(1);
    await settled();
    expect(granted).toEqual([1, 2]);
  });

  test("a place nobody waits for is free again, and only once", async () => {
    const { granted, ask, release } = track(1);
    await ask(1);
    release(1);
    release(1);
    for (const turn of [2, 3]) void ask(turn);
    await settled();
    expect(granted).toEqual([1, 2]);
  });
});

describe("capacity", () => {
  test("more places are filled at once, in turn", async () => {
    const { slots, granted, full, ask } = track(1);
    for (const turn of [1, 4, 3, 2]) void ask(turn);
    await settled();
    slots.capacity = 3;
    await settled();
    expect(granted).toEqual([1, 2, 3]);
    expect(full).toEqual([true, true, true]);
  });

  test("lowering it takes no slot away, and gives none until the number fits", async () => {
    const { slots, granted, ask, release } = track(3);
    for (const turn of [1, 2, 3, 4, 5]) void ask(turn);
    await settled();
    slots.capacity = 1;
    release(1);
    release(2);
    await settled();
    expect(granted).toEqual([1, 2, 3]);
    release(3);
    await settled();
    expect(granted).toEqual([1, 2, 3, 4]);
  });

  test("an upload that has as many as it may leaves the rest to those behind it", async () => {
    const { granted, ask, release } = track(3, 2, (turn) => (turn < 4 ? "a" : "b"));
    for (const turn of [1, 2, 3, 4]) void ask(turn);
    await settled();
    expect(granted).toEqual([1, 2, 4]);
    release(4);
    await settled();
    expect(granted).toEqual([1, 2, 4]);
    release(1);
    await settled();
    expect(granted).toEqual([1, 2, 4, 3]);
  });
});

describe("giving up", () => {
  test("before asking: no slot is given or lost", async () => {
    const { granted, ask } = track(1);
    expect(await ask(1, AbortSignal.abort())).toBe(false);
    expect(await ask(2)).toBe(true);
    expect(granted).toEqual([2]);
  });

  test("while waiting: the wait settles at once, and the slot goes to the next", async () => {
    const { granted, ask, release } = track(1);
    const controller = new AbortController();
    await ask(1);
    const givenUp = ask(2, controller.signal);
    void ask(3);
    controller.abort();
    expect(await givenUp).toBe(false);
    release(1);
    await settled();
    expect(granted).toEqual([1, 3]);
  });

  test("after a slot was given: the slot is kept until it is given back", async () => {
    const { granted, ask, release } = track(1);
    const controller = new AbortController();
    void ask(1);
    void ask(2, controller.signal);
    void ask(3);
    await settled();
    release(1);
    controller.abort();
    await settled();
    expect(granted).toEqual([1, 2]);
    release(2);
    await settled();
    expect(granted).toEqual([1, 2, 3]);
  });
});
