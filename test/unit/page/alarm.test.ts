import { beforeEach, expect, test, vi } from "vitest";
import type { UploadSnapshot } from "../../../src/core/snapshot.ts";
import { Alarm } from "../../../src/page/alarm.ts";
import { virtualClock } from "../../support/virtual-clock.ts";
import { VirtualTime } from "../../support/virtual-time.ts";

const EPOCH = 1_800_000_000_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

let time: VirtualTime;
let ring: ReturnType<typeof vi.fn<() => void>>;
let alarm: Alarm;
beforeEach(() => {
  time = new VirtualTime();
  ring = vi.fn();
  alarm = new Alarm(virtualClock(time, EPOCH), ring);
});

/** Uploads that wait for their conditions, until these times from now on. */
const waiting = (...inMs: readonly (number | null)[]) =>
  inMs.map((ms) => ({
    reason: "conditions",
    nextAttemptAt: ms === null ? null : EPOCH + time.elapsed + ms,
  })) as unknown as UploadSnapshot[];

test("the alarm rings when the first upload's hour has come", async () => {
  alarm.update(waiting(3 * HOUR_MS, HOUR_MS, null));
  await time.runUntil(HOUR_MS - 1);
  expect(ring).not.toHaveBeenCalled();
  await time.runUntil(HOUR_MS);
  expect(ring).toHaveBeenCalledOnce();
});

test("the alarm rings at once for an hour that has passed", async () => {
  alarm.update(waiting(-5));
  await time.runUntil(0);
  expect(ring).toHaveBeenCalledOnce();
});

test("the alarm follows the list: to an earlier hour, to a later one, and to none", async () => {
  alarm.update(waiting(2 * HOUR_MS));
  alarm.update(waiting(HOUR_MS));
  alarm.update(waiting(3 * HOUR_MS));
  await time.runUntil(2 * HOUR_MS);
  expect(ring).not.toHaveBeenCalled();
  alarm.update([]);
  await time.runUntil(5 * HOUR_MS);
  expect(ring).not.toHaveBeenCalled();
});

test("the alarm is not set anew by changes that leave the hour as it is", async () => {
  const list = waiting(HOUR_MS);
  alarm.update(list);
  await time.runUntil(HOUR_MS / 2);
  alarm.update([...list]);
  await time.runUntil(HOUR_MS);
  alarm.update([...list]);
  await time.runUntil(HOUR_MS + MINUTE_MS - 1);
  expect(ring).toHaveBeenCalledOnce();
});

test("it rings again every minute while nothing comes of it: the worker may have died over it", async () => {
  alarm.update(waiting(HOUR_MS));
  await time.runUntil(HOUR_MS + 3 * MINUTE_MS);
  expect(ring).toHaveBeenCalledTimes(4);
  alarm.update([]);
  await time.runUntil(2 * HOUR_MS);
  expect(ring).toHaveBeenCalledTimes(4);
});

test.each(["backoff", "auth", "offline"])(
  "it rings for a wait for %s too, once a worker that lived would have acted",
  async (reason) => {
    alarm.update([{ reason, nextAttemptAt: EPOCH + HOUR_MS } as unknown as UploadSnapshot]);
    await time.runUntil(HOUR_MS);
    expect(ring).not.toHaveBeenCalled();
    await time.runUntil(HOUR_MS + 5_000);
    expect(ring).toHaveBeenCalledOnce();
  },
);

test.each([
  ["wait for a network, which no clock can tell", { reason: "conditions", nextAttemptAt: null }],
  ["do not wait", { reason: null, nextAttemptAt: null }],
])("the alarm is not set for uploads that %s", (_what, upload) => {
  alarm.update([upload as unknown as UploadSnapshot]);
  expect(time.nextAt).toBeUndefined();
});

test("the alarm can wait for longer than a timer", async () => {
  alarm.update(waiting(60 * DAY_MS));
  await time.runUntil(60 * DAY_MS - 1);
  expect(ring).not.toHaveBeenCalled();
  await time.runUntil(60 * DAY_MS);
  expect(ring).toHaveBeenCalledOnce();
});

test("it rings within a minute of waking where the device slept through the hour, which stops timers", async () => {
  let sleptMs = 0;
  const clock = virtualClock(time, EPOCH);
  new Alarm({ ...clock, now: () => clock.now() + sleptMs }, ring).update(waiting(3 * HOUR_MS));
  await time.runUntil(HOUR_MS);
  sleptMs = 8 * HOUR_MS;
  await time.runUntil(HOUR_MS + MINUTE_MS);
  expect(ring).toHaveBeenCalledOnce();
});

test("it rings at once where it is told that the page has come back", async () => {
  let sleptMs = 0;
  const clock = virtualClock(time, EPOCH);
  const after = new Alarm({ ...clock, now: () => clock.now() + sleptMs }, ring);
  after.update(waiting(3 * HOUR_MS));
  await time.runUntil(HOUR_MS);
  sleptMs = 8 * HOUR_MS;
  after.check();
  await time.runUntil(HOUR_MS);
  expect(ring).toHaveBeenCalledOnce();
});

test("it asks for no timer of more than a minute, whatever it waits for and wherever the clock is set", async () => {
  const clock = virtualClock(time, EPOCH);
  const after = vi.spyOn(clock, "after");
  new Alarm(clock, ring).update(waiting(60 * DAY_MS));
  await time.runUntil(10 * MINUTE_MS);
  expect(after.mock.calls.length).toBeGreaterThan(5);
  for (const [ms] of after.mock.calls) expect(ms).toBeLessThanOrEqual(MINUTE_MS);
});

test("a stopped alarm does not ring", async () => {
  alarm.update(waiting(HOUR_MS));
  await time.runUntil(HOUR_MS / 2);
  alarm.stop();
  await time.runUntil(2 * HOUR_MS);
  expect(ring).not.toHaveBeenCalled();
});
