import { beforeEach, describe, expect, test } from "vitest";
import { Lifecycle } from "../../sw/pages/lifecycle.ts";
import { type Settlement, settlementOf } from "../support/settlement.ts";
import { virtualClock } from "../support/virtual-clock.ts";
import { VirtualTime } from "../support/virtual-time.ts";

/** A worker's registration, into which newer versions come when the test says so. */
class Registration {
  readonly scope = "https://app.test/";
  readonly url = "https://app.test/sw.js";
  hasWaitingVersion = false;
  #onNewVersion = () => {};

  onNewVersion(callback: () => void) {
    this.#onNewVersion = callback;
  }

  /** A newer version has changed its state. */
  newVersion(isWaiting: boolean) {
    this.hasWaitingVersion = isWaiting;
    this.#onNewVersion();
  }
}

/** An event, as far as it is held. */
class HeldEvent {
  hold: Settlement<unknown> | undefined;

  waitUntil(promise: Promise<unknown>) {
    this.hold = settlementOf(promise);
  }
}

/** Work that ends when the test says so. */
function work() {
  let end = () => {};
  let fail = (_error: Error) => {};
  const busy = new Promise<void>((resolve, reject) => {
    end = resolve;
    fail = reject;
  });
  return { busy, end: () => end(), fail: () => fail(new Error("broken")) };
}

let time: VirtualTime;
let registration: Registration;
let lifecycle: Lifecycle;

beforeEach(() => {
  time = new VirtualTime();
  registration = new Registration();
  lifecycle = new Lifecycle({ clock: virtualClock(time), worker: registration });
});

function hold(busy: Promise<unknown> = new Promise(() => {})) {
  const event = new HeldEvent();
  lifecycle.hold(event, busy);
  return event;
}

describe("a hold", () => {
  test.each(["end", "fail"] as const)("ends with the work, however that ends: %s", async (how) => {
    const { busy, ...outcome } = work();
    const event = hold(busy);
    await time.runUntil(10_000);
    expect(event.hold?.state).toBe("pending");
    outcome[how]();
    await time.settle();
    expect(event.hold?.state).toBe("fulfilled");
    // Its timer is gone with it.
    expect(time.nextAt).toBeUndefined();
  });

  test("ends after 290 s in any case, before Chromium kills the worker over it", async () => {
    const event = hold();
    await time.runUntil(289_999);
    expect(event.hold?.state).toBe("pending");
    await time.runUntil(290_000);
    expect(event.hold?.state).toBe("fulfilled");
  });

  test("replaces the one before it, and has its full length", async () => {
    const first = hold();
    await time.runUntil(200_000);
    const second = hold();
    await time.settle();
    expect([first.hold?.state, second.hold?.state]).toEqual(["fulfilled", "pending"]);
    await time.runUntil(489_999);
    expect(second.hold?.state).toBe("pending");
    await time.runUntil(490_000);
    expect(second.hold?.state).toBe("fulfilled");
  });

  test("outlasts the end of an earlier hold's work", async () => {
    const { busy, end } = work();
    hold(busy);
    const second = hold();
    end();
    await time.runUntil(1_000);
    expect(second.hold?.state).toBe("pending");
  });

  test("is in place before the one before it ends: the worker is never without", () => {
    const order: string[] = [];
    const event = (name: string) => ({
      waitUntil: (promise: Promise<unknown>) => {
        order.push(`${name} held`);
        void promise.then(() => order.push(`${name} over`));
      },
    });
    lifecycle.hold(event("first"), new Promise(() => {}));
    lifecycle.hold(event("second"), new Promise(() => {}));
    return time.settle().then(() => expect(order).toEqual(["first held", "second held", "first over"]));
  });
});

describe("the time left", () => {
  test("is none without an event", async () => {
    await time.runUntil(5_000);
    expect(lifecycle.msLeft).toBe(0);
  });

  test("is what the last hold still has", async () => {
    await time.runUntil(5_000);
    hold();
    expect(lifecycle.msLeft).toBe(290_000);
    await time.runUntil(15_000);
    expect(lifecycle.msLeft).toBe(280_000);
    hold();
    expect(lifecycle.msLeft).toBe(290_000);
    await time.runUntil(600_000);
    expect(lifecycle.msLeft).toBe(0);
  });

  test("is the longer one of a hold's and a sync's", async () => {
    const never = new Promise(() => {});
    lifecycle.holdSync(new HeldEvent(), never, async () => true);
    expect(lifecycle.msLeft).toBe(175_000);
    hold();
    lifecycle.holdSync(new HeldEvent(), never, async () => true);
    expect(lifecycle.msLeft).toBe(290_000);
  });
});

describe("a sync", () => {
  const sync = (busy: Promise<unknown>, isUsed = true) => {
    const event = new HeldEvent();
    lifecycle.holdSync(event, busy, async () => isUsed);
    return event;
  };

  test.each([
    ["end", true, "fulfilled"],
    ["fail", true, "fulfilled"],
    ["end", false, "rejected"],
    ["fail", false, "rejected"],
  ] as const)(
    "whose work comes to its end (%s) is used (%s) only if nothing waits any more",
    async (how, isUsed, state) => {
      const { busy, ...outcome } = work();
      const event = sync(busy, isUsed);
      await time.runUntil(100_000);
      expect(event.hold?.state).toBe("pending");
      outcome[how]();
      await time.settle();
      expect(event.hold?.state).toBe(state);
      expect(time.nextAt).toBeUndefined();
    },
  );

  test.each([
    ["fails, so that the browser tries again, if no page could ask for another one", false, "rejected"],
    ["counts as used if a page could ask for another one", true, "fulfilled"],
  ] as const)("that has lasted 175 s %s", async (_what, answer, state) => {
    const event = sync(new Promise(() => {}), answer);
    await time.runUntil(174_999);
    expect(event.hold?.state).toBe("pending");
    await time.runUntil(175_000);
    expect(event.hold?.state).toBe(state);
  });

  test("that has lasted 175 s fails too if nobody can say whether a page is there", async () => {
    const event = new HeldEvent();
    lifecycle.holdSync(event, new Promise(() => {}), () => Promise.reject(new Error("no clients")));
    await time.runUntil(175_000);
    expect(event.hold?.state).toBe("rejected");
  });

  test("does not replace the hold, nor does a hold replace it", async () => {
    const held = hold();
    const synced = sync(new Promise(() => {}));
    const next = hold();
    await time.runUntil(1_000);
    expect([held.hold?.state, synced.hold?.state, next.hold?.state]).toEqual([
      "fulfilled",
      "pending",
      "pending",
    ]);
  });
});

describe("a newer version that waits", () => {
  test("ends all holds and syncs, so that the browser can let it in", async () => {
    const held = hold();
    const synced = [new HeldEvent(), new HeldEvent()];
    for (const event of synced) lifecycle.holdSync(event, new Promise(() => {}), async () => false);
    registration.newVersion(true);
    await time.settle();
    // The rest is left to the newer version: the browser fires the sync again.
    expect([held, ...synced].map((event) => event.hold?.state)).toEqual([
      "fulfilled",
      "rejected",
      "rejected",
    ]);
  });

  test("is not held up by a later sync, which the browser fires to it again", async () => {
    registration.newVersion(true);
    const event = new HeldEvent();
    lifecycle.holdSync(event, new Promise(() => {}), async () => true);
    await time.settle();
    expect(event.hold?.state).toBe("rejected");
  });

  test("is not held up by later events", () => {
    registration.newVersion(true);
    expect(hold().hold).toBeUndefined();
  });

  test("leaves no failure of this one's work unhandled", async () => {
    registration.newVersion(true);
    const failed = work();
    hold(failed.busy);
    lifecycle.holdSync(new HeldEvent(), failed.busy, async () => true);
    failed.fail();
    const unhandled: unknown[] = [];
    const listener = (reason: unknown) => void unhandled.push(reason);
    process.on("unhandledRejection", listener);
    await new Promise((resolve) => setImmediate(resolve));
    process.off("unhandledRejection", listener);
    expect(unhandled).toEqual([]);
  });

  test("ends nothing while it is still installing", async () => {
    const held = hold();
    registration.newVersion(false);
    await time.settle();
    expect(held.hold?.state).toBe("pending");
  });
});
