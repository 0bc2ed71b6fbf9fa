import { beforeEach, describe, expect, test, vi } from "vitest";
import type { PartRange } from "../../src/core/part-ranges.ts";
import { PROTOCOL_VERSION, type Reply, type WorkerApi } from "../../src/protocol/protocol.ts";
import { createMessageHandler } from "../../sw/pages/messages.ts";
import { settlementOf } from "../support/settlement.ts";
import { ID } from "./records.ts";

const mark = { epoch: "e", sequence: 1 };
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A page that keeps what it is sent. */
class Page {
  readonly heard: unknown[] = [];
  readonly url = "https://app.test/";

  constructor(readonly id: string) {}

  postMessage(message: unknown) {
    this.heard.push(message);
  }
}

/** Answers `pause` when the test says so, and everything else at once. */
class PausingApi {
  readonly pause = vi.fn(
    (_id: string | null) => new Promise<Reply<typeof mark>>((resolve) => this.#answers.push(resolve)),
  );
  readonly list = vi.fn(async () => ({ ok: true, value: "list" }));
  readonly #answers: ((reply: Reply<typeof mark>) => void)[] = [];

  answer() {
    this.#answers.shift()?.({ ok: true, value: mark });
  }
}

const RANGES: readonly PartRange[] = [{ uploadId: ID, first: 3, count: 2 }];
const handedOver = {
  backhaul: PROTOCOL_VERSION,
  type: "handedOver",
  isImmediate: false,
  fetchId: "backhaul f",
  ranges: RANGES,
};
const call = (id: string, path: unknown = ["pause"], more: object = {}) => ({
  backhaul: PROTOCOL_VERSION,
  type: "call",
  message: { id, type: "APPLY", path, argumentList: [{ type: "RAW", value: ID }], ...more },
});

let api: PausingApi;
let page: Page;
let onHandedOver: ReturnType<typeof vi.fn<(message: object, clientId: string) => Promise<void>>>;
let visit: ReturnType<typeof vi.fn<() => Promise<void>>>;
let handle: (data: unknown, source?: unknown) => Promise<void> | undefined;

beforeEach(() => {
  api = new PausingApi();
  page = new Page("page 1");
  onHandedOver = vi.fn(async () => {});
  visit = vi.fn(async () => {});
  const handler = createMessageHandler(api as unknown as WorkerApi, { handedOver: onHandedOver, visit });
  handle = (data, source = page) => handler({ data, source } as never);
});

describe("a call", () => {
  test("is made on the API, and answered to the page that sent it", async () => {
    const call1 = settlementOf(handle(call("1")) as Promise<void>);
    await settled();
    expect(api.pause).toHaveBeenCalledExactlyOnceWith(ID);
    expect(call1.state).toBe("pending");
    expect(page.heard).toEqual([]);
    api.answer();
    await settled();
    expect(call1.state).toBe("fulfilled");
    const message = { id: "1", type: "RAW", value: { ok: true, value: mark } };
    expect(page.heard).toEqual([{ backhaul: PROTOCOL_VERSION, type: "reply", message }]);
  });

  test("that is repeated is worked once, and the page is told that it is worked", async () => {
    const first = handle(call("1"));
    const again = handle(call("1"));
    const third = handle(call("1"));
    const working = { backhaul: PROTOCOL_VERSION, type: "working", callId: "1" };
    expect(page.heard).toEqual([working, working]);
    await settled();
    expect(api.pause).toHaveBeenCalledOnce();
    api.answer();
    await Promise.all([first, again, third]);
    expect(page.heard).toHaveLength(3);
    expect(page.heard[2]).toMatchObject({ type: "reply" });
  });

  test("that was answered is made again if the page repeats it: its answer was lost", async () => {
    const first = handle(call("1"));
    await settled();
    api.answer();
    await first;
    const again = handle(call("1"));
    await settled();
    expect(api.pause).toHaveBeenCalledTimes(2);
    api.answer();
    await again;
    expect(page.heard).toMatchObject([{ type: "reply" }, { type: "reply" }]);
  });

  test("of one page does not wait for that of another, and each is answered its own", async () => {
    const other = new Page("page 2");
    const waiting = handle(call("1"));
    await handle(call("2", ["list"], { argumentList: [] }), other);
    expect(other.heard).toMatchObject([{ message: { id: "2", value: { ok: true, value: "list" } } }]);
    expect(page.heard).toEqual([]);
    await settled();
    api.answer();
    await waiting;
    expect(page.heard).toMatchObject([{ message: { id: "1" } }]);
  });

  test("to a function that is not there is answered with an error, and forgotten", async () => {
    await handle(call("1", ["destroy"]));
    expect(page.heard).toMatchObject([{ type: "reply", message: { id: "1", type: "HANDLER" } }]);
    await handle(call("1", ["list"]));
    expect(page.heard[1]).toMatchObject({ type: "reply", message: { value: { value: "list" } } });
  });
});

describe("a greeting", () => {
  test("is answered at once, whatever else is being worked on", async () => {
    void handle(call("1"));
    await handle({ backhaul: PROTOCOL_VERSION, type: "hello" });
    expect(page.heard).toEqual([{ backhaul: PROTOCOL_VERSION, type: "welcome" }]);
  });

  test("in another version of the protocol is answered with this one's", async () => {
    await handle({ backhaul: PROTOCOL_VERSION + 1, type: "hello" });
    expect(page.heard).toEqual([{ backhaul: PROTOCOL_VERSION, type: "mismatch" }]);
  });
});

describe("a page of another version", () => {
  test("that only answers what this worker has told all is left alone: it is another app's", () => {
    expect(handle({ backhaul: PROTOCOL_VERSION - 1, type: "here" })).toBeUndefined();
    expect(page.heard).toEqual([]);
  });

  test.each([
    ["an older", PROTOCOL_VERSION - 1],
    ["a newer", PROTOCOL_VERSION + 1],
    ["no", null],
  ])("with %s version is told so, whatever it wanted", async (_which, backhaul) => {
    for (const message of [call("1"), handedOver, { type: "something new" }])
      await handle({ ...message, backhaul });
    const mismatch = { backhaul: PROTOCOL_VERSION, type: "mismatch" };
    expect(page.heard).toEqual([mismatch, mismatch, mismatch]);
    expect(api.pause).not.toHaveBeenCalled();
    expect(onHandedOver).not.toHaveBeenCalled();
  });
});

describe("what is not Backhaul's is left to the app", () => {
  test.each([
    ["undefined", undefined],
    ["null", null],
    ["a text", "backhaul"],
    ["an app's message", { type: "call", message: { id: "1" } }],
    ["a message without a type", { backhaul: PROTOCOL_VERSION }],
    ["a type that does not exist", { backhaul: PROTOCOL_VERSION, type: "stop" }],
    ["what only a worker says", { backhaul: PROTOCOL_VERSION, type: "reply", message: {} }],
    ["a call without a message", { backhaul: PROTOCOL_VERSION, type: "call" }],
    ["a call of nothing", { backhaul: PROTOCOL_VERSION, type: "call", message: null }],
    ["a call without an id", { ...call("1"), message: { type: "APPLY", path: ["pause"] } }],
    ["a call whose id is a number", call(1 as never)],
    ["a call to the API itself", call("1", [])],
    ["a call along a longer path", call("1", ["pause", "constructor"])],
    ["a call along no path", call("1", "pause")],
    ["a call with arguments that are no list", call("1", ["pause"], { argumentList: 5 })],
    ["a call with a bare argument", call("1", ["pause"], { argumentList: [ID] })],
    ["a call with a proxy", call("1", ["pause"], { argumentList: [{ type: "HANDLER", name: "proxy" }] })],
    ["Comlink's GET", call("1", ["pause"], { type: "GET" })],
    ["Comlink's SET", call("1", ["pause"], { type: "SET" })],
    ["Comlink's CONSTRUCT", call("1", ["pause"], { type: "CONSTRUCT" })],
    ["Comlink's RELEASE", call("1", ["pause"], { type: "RELEASE" })],
  ])("%s", async (_what, message) => {
    expect(handle(message)).toBeUndefined();
    await settled();
    expect(page.heard).toEqual([]);
    expect(api.pause).not.toHaveBeenCalled();
  });

  test.each([
    ["nobody", null],
    ["another worker", { postMessage: () => {}, scriptURL: "https://app.test/other.js" }],
    ["a port", { postMessage: () => {} }],
  ])("a message of %s", (_who, source) => {
    expect(handle(call("1"), source)).toBeUndefined();
    expect(api.pause).not.toHaveBeenCalled();
  });
});

describe("signs of life", () => {
  test.each(["here", "wake"])("%s is heard and not answered", async (type) => {
    await expect(handle({ backhaul: PROTOCOL_VERSION, type })).resolves.toBeUndefined();
    expect(page.heard).toEqual([]);
  });
});

describe("ranges handed over", () => {
  test("are passed on with the page that did it, and the event lasts as long as that takes", async () => {
    let end = () => {};
    onHandedOver.mockReturnValue(
      new Promise((resolve) => {
        end = resolve;
      }),
    );
    const event = settlementOf(handle(handedOver) as Promise<void>);
    expect(onHandedOver).toHaveBeenCalledExactlyOnceWith(handedOver, "page 1");
    await settled();
    expect(event.state).toBe("pending");
    end();
    await settled();
    expect(event.state).toBe("fulfilled");
  });

  const range = RANGES[0];
  test.each([
    ["no fetch", { fetchId: undefined }],
    ["a fetch without a name", { fetchId: 7 }],
    ["no word on the page's stay", { isImmediate: undefined }],
    ["a text for a flag", { isImmediate: "false" }],
    ["no ranges", { ranges: undefined }],
    ["ranges that are no list", { ranges: range }],
    ["a range of nothing", { ranges: [null] }],
    ["an upload whose id is no UUID", { ranges: [{ ...range, uploadId: "1" }] }],
    ["part 0", { ranges: [{ ...range, first: 0 }] }],
    ["half a part", { ranges: [{ ...range, first: 1.5 }] }],
    ["no parts", { ranges: [{ ...range, count: 0 }] }],
    ["a negative count", { ranges: [{ ...range, count: -1 }] }],
    ["more parts than S3 has", { ranges: [{ ...range, count: 10_001 }] }],
    ["more ranges than a page makes", { ranges: Array.from({ length: 1_001 }, () => range) }],
  ])("are refused with %s", (_what, change) => {
    expect(handle({ ...handedOver, ...change })).toBeUndefined();
    expect(onHandedOver).not.toHaveBeenCalled();
  });
});
