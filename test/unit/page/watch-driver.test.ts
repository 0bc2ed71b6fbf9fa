import { beforeEach, expect, test, vi } from "vitest";
import type { PageLocks } from "../../../src/page/platform.ts";
import { DriverWatch } from "../../../src/page/watch-driver.ts";
import { virtualClock } from "../../support/virtual-clock.ts";
import { VirtualTime } from "../../support/virtual-time.ts";

const NAME = "backhaul:https://app.test/";

/** The lock that a worker holds while it lives and drives. */
class DriverLock implements PageLocks {
  isDriven = true;
  readonly asked: { readonly name: string; readonly mode: LockMode }[] = [];
  readonly #grants = new Set<() => void>();

  async hold(
    name: string,
    { mode, signal }: { readonly mode: LockMode; readonly signal: AbortSignal },
    work: () => Promise<void> | void,
  ): Promise<void> {
    this.asked.push({ name, mode });
    signal.throwIfAborted();
    if (this.isDriven)
      await new Promise<void>((resolve, reject) => {
        this.#grants.add(resolve);
        signal.addEventListener("abort", () => {
          this.#grants.delete(resolve);
          reject(signal.reason);
        });
      });
    await work();
  }

  get waiting(): number {
    return this.#grants.size;
  }

  /** The worker has died. */
  die(): void {
    this.isDriven = false;
    for (const grant of this.#grants) grant();
    this.#grants.clear();
  }
}

let time: VirtualTime;
let lock: DriverLock;
let isNeeded: boolean;
let onDead: ReturnType<typeof vi.fn<() => void>>;
let watch: DriverWatch;
beforeEach(() => {
  time = new VirtualTime();
  lock = new DriverLock();
  isNeeded = true;
  onDead = vi.fn();
  watch = new DriverWatch({
    platform: { clock: virtualClock(time), locks: lock },
    name: NAME,
    isNeeded: () => isNeeded,
    onDead,
  });
});

test("a worker that dies over its work is noticed at once, without any timer", async () => {
  watch.update();
  await time.settle();
  expect(lock.asked).toEqual([{ name: NAME, mode: "shared" }]);
  expect(time.nextAt).toBeUndefined();
  expect(onDead).not.toHaveBeenCalled();
  lock.die();
  await time.settle();
  expect(onDead).toHaveBeenCalledOnce();
});

test("no worker is watched while there is nothing to do", async () => {
  isNeeded = false;
  watch.update();
  await time.settle();
  expect(lock.asked).toEqual([]);
});

test("a worker that dies after its work is done is not started again", async () => {
  watch.update();
  isNeeded = false;
  lock.die();
  await time.runUntil(10_000);
  expect(onDead).not.toHaveBeenCalled();
  expect(lock.asked).toHaveLength(1);
});

test("changes of the list do not make the page wait for the lock a second time", async () => {
  for (let times = 0; times < 3; times++) watch.update();
  await time.settle();
  expect(lock.waiting).toBe(1);
  lock.die();
  await time.settle();
  for (let times = 0; times < 3; times++) watch.update();
  expect(onDead).toHaveBeenCalledOnce();
});

test("a worker that can't start is started again once a second, as long as there is work", async () => {
  lock.die();
  watch.update();
  await time.runUntil(999);
  expect(onDead).toHaveBeenCalledTimes(1);
  await time.runUntil(3_000);
  expect(onDead).toHaveBeenCalledTimes(4);
  isNeeded = false;
  await time.runUntil(10_000);
  expect(onDead).toHaveBeenCalledTimes(4);
});

test("a worker that has come back is watched in its turn", async () => {
  watch.update();
  lock.die();
  await time.settle();
  lock.isDriven = true;
  await time.runUntil(60_000);
  expect([onDead.mock.calls.length, lock.waiting]).toEqual([1, 1]);
  lock.die();
  await time.settle();
  expect(onDead).toHaveBeenCalledTimes(2);
});

test("watching begins again when there is work again", async () => {
  watch.update();
  isNeeded = false;
  lock.die();
  await time.settle();
  isNeeded = true;
  watch.update();
  await time.settle();
  expect(onDead).toHaveBeenCalledOnce();
});

test("a page that closes stops waiting for the lock, and waits again when it comes back", async () => {
  watch.update();
  await time.settle();
  watch.stop();
  await time.settle();
  expect(lock.waiting).toBe(0);
  lock.die();
  await time.runUntil(5_000);
  expect(onDead).not.toHaveBeenCalled();
  watch.update();
  await time.settle();
  expect(onDead).toHaveBeenCalledOnce();
});

test("a page that comes back during the pause after a death is told once a second all the same", async () => {
  lock.die();
  watch.update();
  await time.runUntil(500);
  watch.stop();
  watch.update();
  await time.runUntil(1_200);
  watch.update();
  await time.runUntil(2_400);
  // At 0 before the stop; at 500 and 1,500 after it.
  expect(onDead).toHaveBeenCalledTimes(3);
});

test("a lock that the browser refuses ends the watch until the next change", async () => {
  const refused = vi.spyOn(lock, "hold").mockRejectedValueOnce(new DOMException("no", "SecurityError"));
  watch.update();
  await time.runUntil(5_000);
  expect([refused.mock.calls.length, onDead.mock.calls.length]).toEqual([1, 0]);
  watch.update();
  lock.die();
  await time.settle();
  expect(onDead).toHaveBeenCalledOnce();
});
