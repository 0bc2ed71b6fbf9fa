import { describe, expect, test } from "vitest";
import { PartSlots } from "../../sw/part-slots.ts";

const never = new AbortController().signal;

/** Slots that note whose turn it was, with a release for each. */
function track(capacity: number) {
  const slots = new PartSlots<number>(capacity, (a, b) => Math.trunc(a) - Math.trunc(b));
  const granted: number[] = [];
  const releases = new Map<number, () => void>();
  const ask = async (turn: number, signal = never) => {
    const release = await slots.acquire(turn, signal);
    if (!release) return false;
    granted.push(turn);
    releases.set(turn, release);
    return true;
  };
  return { granted, ask, release: (turn: number) => releases.get(turn)?.() };
}

/** Long enough for every promise that can settle. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("slots", () => {
  test("as many at once as there are, the next when one is given back", async () => {
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

describe("giving up", () => {
  test("whoever has given up already gets none and takes none", async () => {
    const { granted, ask } = track(1);
    expect(await ask(1, AbortSignal.abort())).toBe(false);
    expect(await ask(2)).toBe(true);
    expect(granted).toEqual([2]);
  });

  test("while waiting: it settles at once, and the place goes to the next", async () => {
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

  test("after the place was got: it is kept until it is given back", async () => {
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
