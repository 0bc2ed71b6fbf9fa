import { beforeEach, describe, expect, test, vi } from "vitest";
import { Connection } from "../../../src/page/connection.ts";
import { PROTOCOL_VERSION, type WorkerApi } from "../../../src/protocol/protocol.ts";
import { createMessageHandler } from "../../../sw/pages/messages.ts";
import { settlementOf } from "../../support/settlement.ts";
import { virtualClock } from "../../support/virtual-clock.ts";
import { VirtualTime } from "../../support/virtual-time.ts";
import { ID } from "../records.ts";
import { FakeWorker } from "./worker-link.ts";

const mark = { epoch: "e", sequence: 1 };
const envelope = { backhaul: PROTOCOL_VERSION };

let time: VirtualTime;
let worker: FakeWorker;
let connection: Connection;
beforeEach(() => {
  time = new VirtualTime();
  worker = new FakeWorker();
  connection = new Connection({ clock: virtualClock(time), worker });
});

const pause = () => settlementOf(connection.call((api) => api.pause(ID)));
const lastId = () => worker.calls.at(-1)?.id as string;

describe("a call", () => {
  test("goes out at once, and gives the worker's value", async () => {
    const call = pause();
    expect(worker.calls).toEqual([{ id: expect.any(String), name: "pause", args: [ID] }]);
    worker.reply(lastId(), { ok: true, value: mark });
    await time.settle();
    expect(call).toMatchObject({ state: "fulfilled", value: mark });
    // Nothing is repeated any more.
    await time.runUntil(60_000);
    expect(worker.calls).toHaveLength(1);
  });

  test("gives the worker's error, with a sentence for people", async () => {
    const call = pause();
    worker.reply(lastId(), { ok: false, error: { code: "UPLOAD_NOT_FOUND", detail: ID } });
    await time.settle();
    expect(call.error).toMatchObject({ name: "UploadError", code: "UPLOAD_NOT_FOUND", detail: ID });
    expect((call.error as Error).message).toContain("There is no upload with this id");
  });

  test("that is not answered has the worker registered again, should its registration be gone", async () => {
    const call = pause();
    await time.runUntil(4_999);
    expect(worker.restorations).toBe(0);
    await time.runUntil(5_000);
    expect([worker.restorations, worker.calls.length, call.state]).toEqual([1, 2, "pending"]);
  });

  test("gets its own answer, whatever the order of answers", async () => {
    const first = pause();
    const firstId = lastId();
    const second = pause();
    worker.reply(lastId(), { ok: true, value: "second" });
    worker.reply(firstId, { ok: true, value: "first" });
    await time.settle();
    expect([first.value, second.value]).toEqual(["first", "second"]);
  });

  test("reaches the worker's real end of this line and comes back", async () => {
    const api = { pause: vi.fn(async (id: string) => ({ ok: true, value: id })) };
    const handle = createMessageHandler(api as unknown as WorkerApi, {
      handedOver: async () => {},
      visit: async () => {},
    });
    const source = { id: "page", postMessage: (message: unknown) => worker.say(message) };
    vi.spyOn(worker, "post").mockImplementation((data) => void handle({ data, source } as never));
    connection = new Connection({ clock: virtualClock(time), worker });
    await expect(connection.call((remote) => remote.pause(ID))).resolves.toBe(ID);
    expect(api.pause).toHaveBeenCalledExactlyOnceWith(ID);
  });

  test("with what can't be sent is refused at once", async () => {
    const call = settlementOf(connection.call((api) => api.pause((() => {}) as never)));
    await time.settle();
    expect(call.error).toMatchObject({ code: "OPTION_INVALID" });
    await time.runUntil(60_000);
    expect(worker.heard).toEqual([]);
  });
});

describe("a worker that is silent", () => {
  test("gets the same call again every 5 s: it may have died over it", async () => {
    const call = pause();
    await time.runUntil(4_999);
    expect(worker.calls).toHaveLength(1);
    await time.runUntil(15_000);
    expect(worker.calls).toHaveLength(4);
    expect(new Set(worker.calls.map(({ id }) => id)).size).toBe(1);
    worker.reply(lastId(), { ok: true, value: mark });
    await time.settle();
    expect(call.state).toBe("fulfilled");
  });

  test("is given up after 30 s and one last repeat", async () => {
    const call = pause();
    await time.runUntil(34_999);
    expect(call.state).toBe("pending");
    expect(worker.calls).toHaveLength(7);
    await time.runUntil(35_000);
    expect(call.error).toMatchObject({ code: "WORKER_UNREACHABLE" });
    await time.runUntil(120_000);
    expect(worker.calls).toHaveLength(7);
  });

  test("has all the time it needs as long as it says that it works", async () => {
    const call = pause();
    for (let at = 30_000; at <= 300_000; at += 30_000) {
      await time.runUntil(at);
      worker.say({ ...envelope, type: "working", callId: lastId() });
    }
    expect(call.state).toBe("pending");
    await time.runUntil(334_999);
    expect(call.state).toBe("pending");
    await time.runUntil(335_000);
    expect(call.error).toMatchObject({ code: "WORKER_UNREACHABLE" });
  });

  test("is not excused by its work on another call", async () => {
    const silent = pause();
    const working = pause();
    await time.runUntil(30_000);
    worker.say({ ...envelope, type: "working", callId: lastId() });
    await time.runUntil(35_000);
    expect([silent.state, working.state]).toEqual(["rejected", "pending"]);
  });

  test("may answer too late, or twice, or what nobody has asked, without harm", async () => {
    const late = pause();
    const id = lastId();
    await time.runUntil(35_000);
    worker.reply(id, { ok: true, value: mark });
    worker.reply(id, { ok: true, value: mark });
    worker.reply("nobody", { ok: true, value: mark });
    worker.say({ ...envelope, type: "working", callId: "nobody" });
    await time.settle();
    expect(late.error).toMatchObject({ code: "WORKER_UNREACHABLE" });
  });
});

describe("a worker of another version", () => {
  test("fails every call under way, and is looked for anew", async () => {
    const calls = [pause(), pause()];
    worker.say({ backhaul: PROTOCOL_VERSION + 1, type: "mismatch" });
    await time.settle();
    for (const call of calls) expect(call.error).toMatchObject({ code: "PROTOCOL_MISMATCH" });
    expect(worker.updates).toBe(1);
    await time.runUntil(60_000);
    expect(worker.calls).toHaveLength(2);
  });

  test.each([
    ["the page, which is to be reloaded", PROTOCOL_VERSION + 1, /the page is the older one: reload it/],
    ["the worker, which is to be deployed", PROTOCOL_VERSION - 1, /the worker is the older one: deploy/],
  ])("names the older side: %s", async (_which, backhaul, message) => {
    const call = pause();
    worker.say({ backhaul, type: "mismatch" });
    await time.settle();
    expect((call.error as Error).message).toMatch(message);
  });
});

describe("messages", () => {
  test.each([
    ["undefined", undefined],
    ["null", null],
    ["a text", "reply"],
    ["an app's own", { type: "stay" }],
    ["one of a type that is not known", { ...envelope, type: "something new" }],
    ["a reply of nothing", { ...envelope, type: "reply", message: null }],
    ["a reply whose id is a number", { ...envelope, type: "reply", message: { id: 7 } }],
  ])("that are none for this page are ignored: %s", async (_what, message) => {
    const call = pause();
    expect(worker.say(message)).toEqual([]);
    await time.settle();
    expect(call.state).toBe("pending");
  });

  test("that ask for a sign of life are answered to just that worker", () => {
    expect(worker.say({ ...envelope, type: "stay" })).toEqual([{ ...envelope, type: "here" }]);
    expect(worker.heard).toEqual([]);
  });

  test("that a sync was used are told to whoever listens", () => {
    const told = vi.fn();
    const undo = connection.on("syncUsed", told);
    worker.say({ ...envelope, type: "syncUsed" });
    undo();
    worker.say({ ...envelope, type: "syncUsed" });
    expect(told).toHaveBeenCalledOnce();
  });

  test("of the page's own go out at once and are not repeated", async () => {
    const ranges = [{ uploadId: ID, first: 1, count: 2 }];
    connection.wake();
    connection.handedOver("backhaul f", ranges, true);
    const handedOver = { ...envelope, type: "handedOver", fetchId: "backhaul f", ranges, isImmediate: true };
    const sent = [{ ...envelope, type: "wake", isVisit: false }, handedOver];
    expect(worker.heard).toEqual(sent);
    await time.runUntil(60_000);
    expect(worker.heard).toEqual(sent);
  });
});

describe("closing", () => {
  test("settles every call, and nothing is sent or heard any more", async () => {
    const calls = [pause(), pause()];
    const id = lastId();
    connection.close();
    worker.reply(id, { ok: true, value: mark });
    await time.settle();
    for (const call of calls) expect(call.error).toMatchObject({ code: "CONNECTION_CLOSED" });
    await time.runUntil(60_000);
    expect(worker.heard).toHaveLength(2);
    expect(worker.say({ ...envelope, type: "stay" })).toEqual([]);
  });
});
