import { beforeEach, expect, test, vi } from "vitest";
import { WakeUp } from "../../../src/page/wake-up.ts";
import { FakeWorker } from "./worker-link.ts";

const TAG = "backhaul:https://app.test/";
let worker: FakeWorker;
let wakeUp: WakeUp;
beforeEach(() => {
  worker = new FakeWorker();
  wakeUp = new WakeUp({ worker }, TAG);
});

test("a sync is asked for once there is something to send, and not with each change of the list", () => {
  wakeUp.update(false);
  expect(worker.syncs).toEqual([]);
  wakeUp.update(true);
  wakeUp.update(true);
  expect(worker.syncs).toEqual([TAG]);
});

test("a sync is asked for again after everything was sent and more has come", () => {
  for (const isWanted of [true, false, true]) wakeUp.update(isWanted);
  expect(worker.syncs).toEqual([TAG, TAG]);
});

test("a used sync is renewed only while there is something to send", () => {
  wakeUp.renew();
  expect(worker.syncs).toEqual([]);
  wakeUp.update(true);
  wakeUp.renew();
  expect(worker.syncs).toEqual([TAG, TAG]);
  wakeUp.update(false);
  wakeUp.renew();
  expect(worker.syncs).toEqual([TAG, TAG]);
});

test("a periodic sync is asked for with the first sync, and one that is refused disturbs nobody", async () => {
  wakeUp.update(true);
  wakeUp.update(true);
  wakeUp.renew();
  expect(worker.periodicSyncs).toEqual([TAG]);
  vi.spyOn(worker, "registerPeriodicSync").mockRejectedValue(new DOMException("no", "NotAllowedError"));
  for (const isWanted of [false, true]) wakeUp.update(isWanted);
  await new Promise((resolve) => setImmediate(resolve));
  expect(worker.syncs).toHaveLength(3);
});

test("a browser that refuses the sync disturbs nobody", async () => {
  const refused = vi
    .spyOn(worker, "registerSync")
    .mockRejectedValue(new DOMException("no", "NotAllowedError"));
  wakeUp.update(true);
  await new Promise((resolve) => setImmediate(resolve));
  wakeUp.renew();
  expect(refused).toHaveBeenCalledTimes(2);
});
