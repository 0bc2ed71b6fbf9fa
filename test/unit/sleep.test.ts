import { beforeEach, expect, test } from "vitest";
import { sleep } from "../../sw/platform/sleep.ts";
import { settlementOf } from "../support/settlement.ts";
import { virtualClock } from "../support/virtual-clock.ts";
import { VirtualTime } from "../support/virtual-time.ts";

let time: VirtualTime;
beforeEach(() => {
  time = new VirtualTime();
});

test("a sleep ends after its time", async () => {
  const sleeping = settlementOf(sleep(virtualClock(time), 1_000));
  await time.runUntil(999);
  expect(sleeping.state).toBe("pending");
  await time.runUntil(1_000);
  expect(sleeping.state).toBe("fulfilled");
});

test("a sleep ends at once when the signal aborts, and leaves no timer", async () => {
  const abort = new AbortController();
  const sleeping = settlementOf(sleep(virtualClock(time), 1_000, abort.signal));
  await time.runUntil(10);
  expect(sleeping.state).toBe("pending");
  abort.abort();
  await time.settle();
  expect(sleeping.state).toBe("fulfilled");
  expect(time.nextAt).toBeUndefined();
});

test("a sleep does not begin where the signal has aborted before", async () => {
  await sleep(virtualClock(time), 1_000, AbortSignal.abort());
  expect(time.nextAt).toBeUndefined();
});

test("a sleep leaves no listener at a signal that outlives it", async () => {
  const listening = new Set<unknown>();
  const signal = new AbortController().signal;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (type: string, listener: never) => {
    listening.add(listener);
    addEventListener.call(signal, type, listener);
  };
  signal.removeEventListener = (type: string, listener: never) => {
    listening.delete(listener);
    removeEventListener.call(signal, type, listener);
  };
  void sleep(virtualClock(time), 1_000, signal);
  expect(listening.size).toBe(1);
  await time.runUntil(1_000);
  expect(listening.size).toBe(0);
});
