import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { HandOverPolicy } from "../../../src/page/hand-over-policy.ts";
import type { PageEventType } from "../../../src/page/platform.ts";
import type { AddRequest } from "../../../src/protocol/protocol.ts";
import { settlementOf } from "../../support/settlement.ts";
import { ID } from "../records.ts";
import { PageBed, snapshot } from "./page-bed.ts";

const object = { key: "k", size: 1, etag: "e", location: "https://s3.test/k" };

let bed: PageBed;
beforeEach(async () => {
  bed = new PageBed();
  bed.list = [snapshot(ID, { state: "uploading" })];
  await bed.open();
});

test("its methods work by themselves, as after destructuring", async () => {
  const { list, get, subscribe, finished } = bed.uploads;
  const heard: string[] = [];
  subscribe(([upload]) => heard.push(upload?.state ?? ""));
  const end = settlementOf(finished(ID));
  bed.change(snapshot(ID, { state: "done", object }));
  await bed.time.settle();
  expect(heard).toEqual(["uploading", "done"]);
  expect([get(ID), end]).toMatchObject([list()[0], { state: "fulfilled", value: object }]);
});

describe("a listener of the app that throws", () => {
  const reported = vi.fn();
  beforeEach(() => {
    reported.mockReset();
    vi.stubGlobal("reportError", reported);
  });
  afterEach(() => {
    vi.unstubAllGlobals();
  });
  const broken = () => {
    throw new Error("the app's own fault");
  };

  test("keeps neither other listeners nor finished() from hearing the end, and is reported each time", async () => {
    bed.uploads.subscribe(broken);
    const heard: string[] = [];
    bed.uploads.subscribe(([upload]) => heard.push(upload?.state ?? ""));
    const end = settlementOf(bed.uploads.finished(ID));
    bed.change(snapshot(ID, { state: "done", object }));
    await bed.time.settle();
    expect(end).toMatchObject({ state: "fulfilled", value: object });
    expect(heard).toEqual(["uploading", "done"]);
    expect(reported.mock.calls).toEqual([
      [new Error("the app's own fault")],
      [new Error("the app's own fault")],
    ]);
  });

  test("in its first call still gives subscribe's undo", () => {
    const undo = bed.uploads.subscribe(broken);
    undo();
    bed.change(snapshot(ID, { uploadedBytes: 1 }));
    expect(reported).toHaveBeenCalledOnce();
  });

  test("keeps no command from its answer", async () => {
    bed.uploads.subscribe(broken);
    bed.sequence += 1;
    const paused = settlementOf(bed.uploads.pause(ID));
    await bed.time.settle();
    bed.sequence -= 1;
    bed.change(snapshot(ID, { state: "paused", reason: "user" }));
    await bed.time.settle();
    expect(paused.state).toBe("fulfilled");
  });
});

describe("close()", () => {
  test("tells whoever waits for the end of an upload", async () => {
    const end = settlementOf(bed.uploads.finished(ID));
    bed.uploads.close();
    await bed.time.settle();
    expect(end.error).toMatchObject({ code: "CONNECTION_CLOSED" });
    expect((end.error as Error).message).toMatch(/close\(\).*connect again/);
  });

  test("leaves nothing that is asked afterwards without an answer", async () => {
    bed.uploads.close();
    const asked = [settlementOf(bed.uploads.finished(ID)), settlementOf(bed.uploads.pause(ID))];
    await bed.time.settle();
    for (const each of asked) expect(each.error).toMatchObject({ code: "CONNECTION_CLOSED" });
    const heard = vi.fn();
    bed.uploads.subscribe(heard);
    expect(heard).toHaveBeenCalledExactlyOnceWith(bed.uploads.list());
  });

  test("settles a command that was carried out and only waits for the list to show it", async () => {
    bed.sequence += 1;
    const paused = settlementOf(bed.uploads.pause(ID));
    await bed.time.settle();
    expect(paused.state).toBe("pending");
    bed.uploads.close();
    await bed.time.settle();
    expect(paused.state).toBe("fulfilled");
  });

  test("still gives the end of what had ended before", async () => {
    bed.change(snapshot(ID, { state: "done", object }));
    bed.uploads.close();
    expect(await bed.uploads.finished(ID)).toEqual(object);
  });

  test("leaves no timer behind", async () => {
    bed.uploads.close();
    await bed.time.runUntil(60_000);
    expect(bed.time.nextAt).toBeUndefined();
  });
});

describe("a broadcast that is lost", () => {
  const other = "00000000-0000-4000-8000-0000000000ff";

  test("shows by the number of the next one: the list is fetched anew", async () => {
    const end = settlementOf(bed.uploads.finished(ID));
    bed.change(snapshot(ID, { state: "done", object }), { isHeard: false });
    expect(bed.callsOf("list")).toBe(1);
    bed.change(snapshot(other));
    await bed.time.settle();
    expect(bed.callsOf("list")).toBe(2);
    expect(end).toMatchObject({ state: "fulfilled", value: object });
  });

  test("is still missed after a fetch that failed, and fetched by the next broadcast", async () => {
    const answer = bed.worker.replies.get("list");
    bed.worker.replies.set("list", () => ({ ok: false, error: { code: "DATABASE_CLOSED", detail: "" } }));
    bed.change(snapshot(ID, { state: "done", object }), { isHeard: false });
    bed.change(snapshot(other));
    await bed.time.settle();
    expect(bed.uploads.get(ID)?.state).toBe("uploading");
    if (answer) bed.worker.replies.set("list", answer);
    bed.change(snapshot(other, { uploadedBytes: 1 }));
    await bed.time.settle();
    expect(bed.uploads.get(ID)?.state).toBe("done");
  });

  test("with none after it shows by the silence", async () => {
    const end = settlementOf(bed.uploads.finished(ID));
    bed.change(snapshot(ID, { state: "done", object }), { isHeard: false });
    await bed.time.runUntil(61_000);
    expect(end).toMatchObject({ state: "fulfilled", value: object });
  });

  test.each(["pageshow", "visible", "resume"] as const)(
    "while the page was frozen shows at its %s",
    async (event) => {
      bed.change(snapshot(ID, { state: "paused", reason: "user" }));
      bed.change(snapshot(ID, { state: "done", object }), { isHeard: false });
      bed.fire(event, true);
      await bed.time.settle();
      expect(bed.uploads.get(ID)?.state).toBe("done");
    },
  );

  test("is not looked for where nothing moves", async () => {
    bed.change(snapshot(ID, { state: "paused", reason: "user" }));
    await bed.time.runUntil(30_000);
    const before = bed.callsOf("list");
    await bed.time.runUntil(600_000);
    expect(bed.callsOf("list")).toBe(before);
  });
});

describe("a wait that a clock ends", () => {
  test("has the page wake the worker when its time has come, and when the page is seen again", async () => {
    const nextAttemptAt = bed.clock.now() + 3_600_000;
    bed.change(snapshot(ID, { state: "waiting", reason: "conditions", nextAttemptAt }));
    await bed.time.runUntil(3_599_999);
    expect(bed.wakes).toBe(0);
    bed.fire("visible");
    expect(bed.wakes).toBe(1);
    await bed.time.runUntil(3_600_000);
    expect(bed.wakes).toBe(2);
  });
});

describe("250 files added at once", () => {
  const files = Array.from({ length: 250 }, (_, index) => ({ file: new Blob(["x"]), key: String(index) }));
  /** What each call of the page's gave: its name, the keys of its files, and the batch. */
  const given = () =>
    bed.worker.calls
      .filter(({ name }) => name === "stage" || name === "add")
      .map(({ name, args }) => {
        const [requests, batch] = name === "stage" ? [args[1], args[0]] : [args[0], args[2]];
        return { name, batch, keys: (requests as AddRequest[]).map(({ options }) => options.key) };
      });

  beforeEach(() => bed.worker.replies.set("stage", () => ({ ok: true, value: null })));

  test("travel in messages of 100, for one large one would hold up the page", async () => {
    const added = settlementOf(bed.uploads.addAll(files));
    await bed.time.settle();
    expect(added.state).toBe("fulfilled");
    const calls = given();
    expect(calls.map(({ name, keys }) => [name, keys.length])).toEqual([
      ["stage", 100],
      ["stage", 100],
      ["add", 50],
    ]);
    expect(calls.flatMap(({ keys }) => keys)).toEqual(files.map(({ key }) => key));
    expect(calls.at(-1)?.batch).toEqual({ id: calls[0]?.batch, count: 200 });
  });

  test("are given again, under the same ids, to a worker that has lost some of them", async () => {
    let isLost = true;
    const mark = { ok: true as const, value: { epoch: bed.epoch, sequence: bed.sequence } };
    bed.worker.replies.set("add", () => {
      if (!isLost) return mark;
      isLost = false;
      return { ok: true, value: null };
    });
    const added = settlementOf(bed.uploads.addAll(files));
    await bed.time.settle();
    expect(added.state).toBe("fulfilled");
    expect(given().map(({ name }) => name)).toEqual(["stage", "stage", "add", "stage", "stage", "add"]);
    const batches = new Set(given().map(({ batch }) => (batch as { id?: string }).id ?? batch));
    expect(batches.size).toBe(2);
    const ids = bed.worker.calls
      .filter(({ name }) => name === "stage")
      .map(({ args }) => (args[1] as AddRequest[])[0]?.id);
    expect(ids.slice(2)).toEqual(ids.slice(0, 2));
  });
});

test("Of a call that is repeated, what has ended meanwhile is marked, so that it does not begin anew", async () => {
  bed.worker.replies.delete("add");
  const files = ["a", "b"].map((key) => ({ file: new Blob(["x"]), key }));
  void bed.uploads.addAll(files).catch(() => {});
  await bed.time.settle();
  const given = () =>
    bed.worker.calls.filter(({ name }) => name === "add").map(({ args }) => args[0] as AddRequest[]);
  const [[first, second] = []] = given();
  bed.change(snapshot(first?.id ?? "", { state: "done" }));
  bed.change(snapshot(second?.id ?? "", { state: "failed" }));
  await bed.time.runUntil(5_000);
  expect(given().map((requests) => requests.map(({ hasEnded = false }) => hasEnded))).toEqual([
    [false, false],
    [true, false],
  ]);
});

test("A list that is too long for one message is fetched anew from a worker that does not know its rest", async () => {
  const all = Array.from({ length: 600 }, (_, order) => snapshot(String(order), { order }));
  let isKnown = false;
  const { epoch, sequence } = bed;
  const rest = { id: ID, count: 350 };
  bed.worker.replies.set("list", () => ({
    ok: true,
    value: { epoch, sequence, uploads: all.slice(0, 250), hasRelay: false, rest },
  }));
  bed.worker.replies.set("listRest", (_id, from) => {
    const place = 250 + (from as number);
    const value = isKnown ? all.slice(place, place + 250) : null;
    isKnown ||= place === 500;
    return { ok: true, value };
  });
  bed.fire("visible");
  await bed.time.settle();
  expect(bed.uploads.list().map(({ id }) => id)).toEqual(all.map(({ id }) => id));
  expect([bed.callsOf("listRest"), isKnown]).toEqual([4, true]);
});

test("A few files need one message", async () => {
  await bed.uploads.addAll([{ file: new Blob(["x"]), key: "k" }]);
  const calls = bed.worker.calls.filter(({ name }) => name === "stage" || name === "add");
  expect(calls.map(({ name, args }) => [name, args[2]])).toEqual([["add", null]]);
});

describe("the page that hands over, so that it holds the lock for that,", () => {
  /** Whether the lock is held or waited for after each of these events, on a page of its own. */
  async function holdsAfter(events: readonly PageEventType[], handOver?: HandOverPolicy, isMobile = false) {
    const page = new PageBed(isMobile);
    await page.open(handOver ? { handOver } : {});
    return events.map((type) => {
      page.fire(type);
      const requests = page.lockRequests.filter(({ name }) => name.endsWith(" keeper"));
      const open = requests.filter(({ signal }) => !signal.aborted);
      expect(open.length).toBeLessThan(2);
      return open.length === 1;
    });
  }

  test("is on a phone any page as it is hidden, since nothing more may come; until it is seen again", async () => {
    expect(await holdsAfter(["hidden", "freeze", "resume", "visible", "hidden"], "auto", true)).toEqual([
      false,
      false,
      false,
      true,
      false,
    ]);
  });

  test("is elsewhere one that is frozen, but none that is only hidden", async () => {
    expect(await holdsAfter(["hidden", "freeze", "resume", "visible"])).toEqual([true, false, true, true]);
  });

  test("is as the app wants it", async () => {
    expect(await holdsAfter(["hidden", "visible"], "hidden")).toEqual([false, true]);
    expect(await holdsAfter(["hidden", "freeze", "visible"], "closed", true)).toEqual([true, true, true]);
  });

  test("is one that closes, whatever the app wants", async () => {
    expect(await holdsAfter(["pagehide"], "closed")).toEqual([false]);
    expect(await holdsAfter(["pagehide"])).toEqual([false]);
  });
});
