import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { WireSnapshot } from "../../../src/core/snapshot.ts";
import { UploadListMirror } from "../../../src/page/upload-list.ts";
import {
  type Broadcast,
  PROTOCOL_VERSION,
  type ScopedName,
  type UploadList,
} from "../../../src/protocol/protocol.ts";
import { PartLedger } from "../../../sw/model/part-ledger.ts";
import { startProgress } from "../../../sw/model/progress.ts";
import { snapshotOf } from "../../../sw/model/snapshot.ts";
import { browserPlatform } from "../../../sw/platform/browser-platform.ts";
import { records } from "../records.ts";

function upload(id: string, order = 1, name = id): WireSnapshot {
  const record = { ...records.queued, id, order, name };
  return snapshotOf(
    { record, ledger: new PartLedger(record.plan), lane: "worker", faults: 0 },
    startProgress(0, 0),
    0,
  );
}

function openChannel(name: string, listener: (message: unknown) => void) {
  const channel = new BroadcastChannel(name);
  channel.onmessage = ({ data }) => listener(data);
  return { close: () => channel.close() };
}

/** The worker's side: broadcasts by a real channel, and answers when the test says so. */
class Worker {
  readonly #channel: BroadcastChannel;
  /** Hears what the mirror hears. */
  readonly #witness: BroadcastChannel;
  #answers: { resolve: (list: UploadList) => void; reject: (error: Error) => void }[] = [];
  readonly fetchList = vi.fn(
    () => new Promise<UploadList>((resolve, reject) => this.#answers.push({ resolve, reject })),
  );
  readonly onNewWorker = vi.fn();

  constructor(name: ScopedName) {
    this.#channel = new BroadcastChannel(name);
    this.#witness = new BroadcastChannel(name);
  }

  answer(epoch: string, sequence: number, uploads: WireSnapshot[]): void {
    this.#answers.shift()?.resolve({ epoch, sequence, uploads, hasRelay: false });
  }

  refuse(): void {
    this.#answers.shift()?.reject(new Error("no answer"));
  }

  tell(
    epoch: string,
    sequence: number,
    changed: WireSnapshot[],
    removed: string[] = [],
    { slice = 0, isLast = true } = {},
  ): Promise<void> {
    const type = "changed";
    return this.post({
      backhaul: PROTOCOL_VERSION,
      type,
      epoch,
      sequence,
      slice,
      isLast,
      changed,
      removed,
    } satisfies Broadcast);
  }

  /** Settles once the message was delivered. */
  async post(message: unknown): Promise<void> {
    const heard = new Promise((resolve) =>
      this.#witness.addEventListener("message", resolve, { once: true }),
    );
    this.#channel.postMessage(message);
    await heard;
    await new Promise((resolve) => setImmediate(resolve));
  }

  close(): void {
    this.#channel.close();
    this.#witness.close();
  }
}

let worker: Worker;
let mirror: UploadListMirror;
const names = () => mirror.list().map((each) => each.name);

beforeEach(() => {
  const name: ScopedName = `backhaul:${crypto.randomUUID()}`;
  worker = new Worker(name);
  mirror = new UploadListMirror(name, { clock: browserPlatform.clock, openChannel }, worker);
});
afterEach(() => {
  mirror.close();
  worker.close();
});

/** Gives the mirror its first list. */
async function open(epoch: string, sequence: number, uploads: WireSnapshot[]): Promise<void> {
  const refreshed = mirror.refresh();
  worker.answer(epoch, sequence, uploads);
  await refreshed;
}

describe("the list", () => {
  test("is in the order of the queue, and the same array until something changes", async () => {
    expect(mirror.list()).toEqual([]);
    await open("e", 1, [upload("b", 2), upload("c", 3), upload("a", 1)]);
    expect(names()).toEqual(["a", "b", "c"]);
    expect(mirror.get("b")?.name).toBe("b");
    const before = mirror.list();
    expect(mirror.list()).toBe(before);
    await worker.tell("e", 2, [upload("a", 1, "a2")]);
    expect(mirror.list()).not.toBe(before);
  });

  test("shows changes that came in several messages together, and is fetched anew if one of those is lost", async () => {
    await open("e", 1, [upload("a", 1), upload("b", 2)]);
    const heard: string[][] = [];
    mirror.subscribe((uploads) => heard.push(uploads.map(({ name }) => name)));
    await worker.tell("e", 2, [upload("a", 1, "a2")], [], { slice: 0, isLast: false });
    await worker.tell("e", 2, [upload("b", 2, "b2")], [], { slice: 1 });
    expect(heard).toEqual([
      ["a", "b"],
      ["a2", "b2"],
    ]);
    expect(worker.fetchList).toHaveBeenCalledTimes(1);
    await worker.tell("e", 3, [upload("a", 1, "a3")], [], { slice: 0, isLast: false });
    await worker.tell("e", 3, [upload("b", 2, "b3")], [], { slice: 2 });
    expect(worker.fetchList).toHaveBeenCalledTimes(2);
  });

  test("reaches a listener at once and with each change, until it is undone", async () => {
    await open("e", 1, [upload("a")]);
    const heard: number[] = [];
    const stop = mirror.subscribe((uploads) => heard.push(uploads.length));
    expect(heard).toEqual([1]);
    await worker.tell("e", 2, [upload("b", 2)]);
    expect(heard).toEqual([1, 2]);
    stop();
    await worker.tell("e", 3, [upload("c", 3)]);
    expect(heard).toEqual([1, 2]);
  });

  test("shows no bar going back because a worker has died, but does where S3 has dropped what it had", async () => {
    const at = (uploadedBytes: number, estimatedBytes: number): WireSnapshot => ({
      ...upload("a"),
      uploadedBytes,
      estimatedBytes,
    });
    await open("e", 1, [at(10, 18)]);
    await open("f", 1, [at(10, 10)]);
    expect(mirror.get("a")?.estimatedBytes).toBe(18);
    await worker.tell("f", 2, [at(0, 0)]);
    expect(mirror.get("a")?.estimatedBytes).toBe(0);
  });

  test("asked for twice at once is fetched once; asked for again it replaces all", async () => {
    const first = mirror.refresh();
    expect(mirror.refresh()).toBe(first);
    expect(worker.fetchList).toHaveBeenCalledTimes(1);
    worker.answer("e", 1, [upload("a")]);
    await first;
    await open("e", 2, [upload("b")]);
    expect(names()).toEqual(["b"]);
  });

  test("that could not be fetched can be fetched again", async () => {
    const refused = mirror.refresh();
    worker.refuse();
    await expect(refused).rejects.toThrow("no answer");
    await open("e", 1, [upload("a")]);
    expect(names()).toEqual(["a"]);
  });
});

describe("broadcasts", () => {
  test("change, add and remove", async () => {
    await open("e", 1, [upload("a", 1), upload("b", 2)]);
    await worker.tell("e", 2, [upload("b", 2, "b2"), upload("c", 3)], ["a"]);
    expect(names()).toEqual(["b2", "c"]);
    expect(mirror.get("a")).toBeUndefined();
  });

  test("that the list contains already change nothing", async () => {
    await open("e", 5, [upload("a", 1, "new")]);
    await worker.tell("e", 5, [upload("a", 1, "old")]);
    await worker.tell("e", 4, [], ["a"]);
    expect(names()).toEqual(["new"]);
  });

  test("while the list is fetched are applied to it, those that it does not contain", async () => {
    await open("e", 1, [upload("a", 1)]);
    const refreshed = mirror.refresh();
    await worker.tell("e", 2, [upload("a", 1, "old"), upload("b", 2)]);
    await worker.tell("e", 3, [upload("a", 1, "newest")]);
    expect(names()).toEqual(["a"]);
    worker.answer("e", 2, [upload("a", 1, "new")]);
    await refreshed;
    expect(names()).toEqual(["newest"]);
  });

  test("while the first list is fetched wait for it", async () => {
    const refreshed = mirror.refresh();
    await worker.tell("e", 2, [upload("b", 2)]);
    expect(worker.fetchList).toHaveBeenCalledTimes(1);
    worker.answer("e", 1, [upload("a", 1)]);
    await refreshed;
    expect(names()).toEqual(["a", "b"]);
  });

  test("of others on the same channel are nobody's business here", async () => {
    await open("e", 1, [upload("a")]);
    const changed = { type: "changed", epoch: "e", sequence: 9, changed: [], removed: ["a"] };
    for (const message of [
      null,
      "changed",
      changed,
      { ...changed, backhaul: PROTOCOL_VERSION + 1 },
      { ...changed, backhaul: PROTOCOL_VERSION, type: "else" },
    ])
      await worker.post(message);
    expect(names()).toEqual(["a"]);
    expect(worker.fetchList).toHaveBeenCalledTimes(1);
  });

  test("are not heard once closed", async () => {
    await open("e", 1, [upload("a")]);
    mirror.close();
    await worker.tell("e", 2, [], ["a"]);
    expect(names()).toEqual(["a"]);
  });
});

describe("another life of the worker", () => {
  test("shows in its broadcast: the list is fetched anew, once", async () => {
    await open("old", 7, [upload("a", 1), upload("gone", 2)]);
    await worker.tell("new", 1, [upload("a", 1, "a2")]);
    await worker.tell("new", 2, [upload("a", 1, "a3")]);
    expect(worker.fetchList).toHaveBeenCalledTimes(2);
    expect(names()).toEqual(["a", "gone"]);
    worker.answer("new", 1, [upload("a", 1, "a2")]);
    await vi.waitFor(() => expect(names()).toEqual(["a3"]));
    await worker.tell("new", 3, [upload("a", 1, "a4")]);
    expect(names()).toEqual(["a4"]);
    expect(worker.fetchList).toHaveBeenCalledTimes(2);
  });

  test("is reported when it is first seen, the first worker of all is not", async () => {
    await open("old", 7, []);
    await open("old", 8, []);
    expect(worker.onNewWorker).not.toHaveBeenCalled();
    await open("new", 1, []);
    await open("new", 2, []);
    expect(worker.onNewWorker).toHaveBeenCalledTimes(1);
  });

  test("makes the last words of the old one void", async () => {
    await open("old", 7, [upload("a", 1)]);
    const refreshed = mirror.refresh();
    await worker.tell("old", 8, [upload("a", 1, "stale")]);
    worker.answer("new", 1, [upload("a", 1, "fresh")]);
    await refreshed;
    expect(names()).toEqual(["fresh"]);
  });

  test("that does not answer at first is asked again at its next broadcast", async () => {
    await open("old", 7, [upload("a", 1)]);
    await worker.tell("new", 1, []);
    worker.refuse();
    await new Promise((resolve) => setImmediate(resolve));
    await worker.tell("new", 2, []);
    worker.answer("new", 2, [upload("b", 1)]);
    await vi.waitFor(() => expect(names()).toEqual(["b"]));
  });
});

describe("waiting for a mark", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  /** The outcome of a promise so far. */
  const track = (promise: Promise<void>) => {
    const tracked = { isOver: false };
    void promise.then(() => {
      tracked.isOver = true;
    });
    return tracked;
  };
  const settled = () => new Promise((resolve) => setImmediate(resolve));

  test("that the list has reached is over at once", async () => {
    await open("e", 5, []);
    await mirror.reaches({ epoch: "e", sequence: 5 });
    await mirror.reaches({ epoch: "e", sequence: 1 });
    expect(worker.fetchList).toHaveBeenCalledTimes(1);
  });

  test("lasts until its broadcast, which is in the list by then", async () => {
    await open("e", 5, [upload("a")]);
    const reached = mirror.reaches({ epoch: "e", sequence: 7 });
    const tracked = track(reached);
    await worker.tell("e", 6, []);
    expect(tracked.isOver).toBe(false);
    await worker.tell("e", 7, [upload("a", 1, "a2")]);
    await reached;
    expect(names()).toEqual(["a2"]);
    // Nothing is overdue any more.
    vi.advanceTimersByTime(60_000);
    expect(worker.fetchList).toHaveBeenCalledTimes(1);
  });

  test("of a worker not seen before takes the list from it", async () => {
    await open("old", 5, []);
    const tracked = track(mirror.reaches({ epoch: "new", sequence: 1 }));
    await settled();
    expect(tracked.isOver).toBe(false);
    worker.answer("new", 1, [upload("b")]);
    await settled();
    expect(tracked.isOver).toBe(true);
    expect(names()).toEqual(["b"]);
  });

  test.each(["answers", "refuses"])(
    "takes the list if no broadcast comes within a second; the worker %s",
    async (how) => {
      await open("e", 5, []);
      const tracked = track(mirror.reaches({ epoch: "e", sequence: 6 }));
      vi.advanceTimersByTime(999);
      expect(worker.fetchList).toHaveBeenCalledTimes(1);
      vi.advanceTimersByTime(1);
      expect(worker.fetchList).toHaveBeenCalledTimes(2);
      if (how === "answers") worker.answer("e", 6, [upload("b")]);
      else worker.refuse();
      await settled();
      expect(tracked.isOver).toBe(true);
    },
  );
});

test("a list that does not come takes nothing away: broadcasts from meanwhile count", async () => {
  await open("e", 1, [upload("a")]);
  const refreshed = mirror.refresh();
  await worker.tell("e", 2, [upload("a", 1, "renamed")]);
  worker.refuse();
  await expect(refreshed).rejects.toThrow("no answer");
  expect(mirror.get("a")?.name).toBe("renamed");
});

test("a mark is reached with its broadcast, or by asking when the worker has died before it could tell", async () => {
  await open("e", 1, [upload("a")]);
  let reached = false;
  const reaching = mirror.reaches({ epoch: "e", sequence: 2 }).then(() => {
    reached = true;
  });
  await worker.tell("e", 2, [upload("b", 2)]);
  await reaching;
  expect([reached, mirror.get("b")?.id]).toEqual([true, "b"]);

  const asking = mirror.reaches({ epoch: "another life", sequence: 1 });
  worker.answer("another life", 1, [upload("c")]);
  await asking;
  expect(names()).toEqual(["c"]);
});
