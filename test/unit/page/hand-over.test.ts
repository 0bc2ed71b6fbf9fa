import { beforeEach, describe, expect, test, vi } from "vitest";
import { RELAY_TOKEN_HEADER } from "../../../src/core/relay-url.ts";
import type { UploadSnapshot } from "../../../src/core/snapshot.ts";
import { Connection } from "../../../src/page/connection.ts";
import { HandOver } from "../../../src/page/hand-over.ts";
import type { PageLocks } from "../../../src/page/platform.ts";
import {
  type HandOverCandidate,
  type PageMessage,
  PROTOCOL_VERSION,
  type ScopedName,
} from "../../../src/protocol/protocol.ts";
import { virtualClock } from "../../support/virtual-clock.ts";
import { VirtualTime } from "../../support/virtual-time.ts";
import { ID } from "../records.ts";
import { FakeWorker } from "./worker-link.ts";

const OTHER_ID = "0f0e0d0c-0b0a-4908-8706-050403020100";
const FETCH_ID = "11111111-2222-4333-8444-555555555555";
const NAME: ScopedName = "backhaul:https://app.test/";
const RELAY = "https://app.test/up/";
const TEXT = "0123456789ab";

/** Three parts of 4, 4 and 4 bytes. */
const candidate = (more: Partial<HandOverCandidate> = {}): HandOverCandidate => ({
  id: ID,
  token: "token",
  plan: { size: 12, partSize: 4, partCount: 3 },
  bytes: new Blob([TEXT]),
  done: [],
  isImmediate: false,
  ...more,
});

const snapshot = (id: string, state = "uploading", reason: string | null = null) =>
  ({ id, state, reason }) as UploadSnapshot;

/** A lock that this page gets when the test says so. */
class PageLock implements PageLocks {
  name: string | undefined;
  isHeld = false;
  #grant = () => {};

  async hold(
    name: string,
    { mode, signal }: { readonly mode: LockMode; readonly signal: AbortSignal },
    work: () => Promise<void> | void,
  ): Promise<void> {
    expect(mode).toBe("exclusive");
    this.name = name;
    await new Promise<void>((resolve, reject) => {
      this.#grant = resolve;
      signal.addEventListener("abort", () => reject(signal.reason));
    });
    this.isHeld = true;
    await work();
    this.isHeld = false;
  }

  grant(): Promise<void> {
    this.#grant();
    return settled();
  }
}

/** The browser's transfers: takes every one, or none. */
class FetchManager {
  readonly started: { readonly id: string; readonly requests: readonly Request[]; readonly title: string }[] =
    [];
  refuses = false;
  getIds = vi.fn(async () => []);

  async fetch(id: string, requests: readonly Request[], { title }: { readonly title: string }) {
    this.started.push({ id, requests, title });
    if (this.refuses) throw new TypeError("Quota exceeded");
  }
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

let worker: FakeWorker;
let connection: Connection;
let lock: PageLock;
let fetches: FetchManager;
let candidates: HandOverCandidate[];
let relay: string | null;
let auth: Record<string, string>;
let probe: (url: string, init: RequestInit) => Promise<Response>;
let say: (message: unknown) => void;
let isChannelOpen: boolean;
let handOver: HandOver;
let time: VirtualTime;

beforeEach(() => {
  time = new VirtualTime();
  worker = new FakeWorker();
  connection = new Connection({ clock: virtualClock(new VirtualTime()), worker });
  lock = new PageLock();
  fetches = new FetchManager();
  candidates = [candidate()];
  relay = RELAY;
  probe = () => Promise.reject(new TypeError("Failed to fetch"));
  auth = { authorization: "Bearer 1" };
  const mark = { epoch: "e", sequence: 1 };
  worker.replies.set("takeBack", () => ({ ok: true, value: mark }));
  worker.replies.set("handOverCandidates", () => ({
    ok: true,
    value: { relay, bytesPerSecond: null, uploads: candidates },
  }));
  handOver = makeHandOver(fetches);
});

function makeHandOver(backgroundFetch: FetchManager | undefined): HandOver {
  return new HandOver({
    platform: {
      backgroundFetch,
      clock: virtualClock(time),
      fetch: (url, init) => probe(url, init),
      locks: lock,
      uuid: () => FETCH_ID,
      openChannel(name, listener) {
        expect(name).toBe(`${NAME} parts`);
        say = listener;
        isChannelOpen = true;
        return {
          close: () => {
            isChannelOpen = false;
          },
        };
      },
    },
    connection,
    name: NAME,
    auth: () => auth,
    owner: () => "anna",
  });
}

/** A page that holds the lock, so that it is the one that hands over, and has fetched the candidates. */
async function begin(): Promise<void> {
  handOver.start();
  await lock.grant();
}

/** Lets what is to be handed over at once be gathered. */
async function gathered(): Promise<void> {
  await settled();
  await time.runUntil(time.elapsed + 1_000);
  await settled();
}

const partsDone = (partNumbers: readonly number[], id = ID, backhaul: number = PROTOCOL_VERSION) =>
  say({ backhaul, type: "partsDone", id, partNumbers });
/** The tokens that the worker was told of as known, at each request. */
const known = () =>
  worker.calls.flatMap(({ name, args }) => (name === "handOverCandidates" ? [args[1]] : []));
const asked = () => worker.calls.filter(({ name }) => name === "handOverCandidates").length;
const announced = () =>
  worker.heard.flatMap((message) => (message.type === "handedOver" ? [message] : []) as PageMessage[]);
/** The requests to the relay, in the order in which Chromium starts them. */
const requested = () =>
  fetches.started.flatMap(({ requests }) =>
    requests.map(({ url }) => {
      const query = new URL(url).searchParams;
      return [query.get("upload"), Number(query.get("first")), Number(query.get("count"))];
    }),
  );
const partsOf = (id: string) =>
  requested()
    .flatMap(([upload, first, count]) =>
      upload === id ? Array.from({ length: count as number }, (_, index) => (first as number) + index) : [],
    )
    .sort((a, b) => a - b);

describe("the page that gets the lock", () => {
  test("takes back what the last page has handed over, and asks what there is", async () => {
    handOver.start();
    await settled();
    expect(lock.name).toBe(`${NAME} keeper`);
    expect(worker.heard).toEqual([]);
    await lock.grant();
    expect(worker.calls).toMatchObject([
      { name: "takeBack", args: [] },
      { name: "handOverCandidates", args: ["anna", []] },
    ]);
    expect(fetches.getIds).toHaveBeenCalledOnce();
  });

  test("hands everything over as it goes, and tells the worker", async () => {
    await begin();
    handOver.leave();
    const [fetch] = fetches.started;
    expect(fetch).toMatchObject({ id: `backhaul ${FETCH_ID}`, title: "Uploading 1 file" });
    const requests = fetch?.requests as readonly Request[];
    expect(partsOf(ID)).toEqual([1, 2, 3]);
    for (const request of requests) {
      const { searchParams, origin, pathname } = new URL(request.url);
      expect([request.method, origin + pathname]).toEqual(["PUT", `${RELAY}relay`]);
      expect(searchParams.get("fetch")).toBe(FETCH_ID);
      expect(request.headers.get(RELAY_TOKEN_HEADER)).toBe("token");
      expect(request.headers.get("authorization")).toBe("Bearer 1");
      const start = (Number(searchParams.get("first")) - 1) * 4;
      expect(await request.text()).toBe(TEXT.slice(start, start + Number(searchParams.get("count")) * 4));
    }
    const ranges = requested().map(([uploadId, first, count]) => ({ uploadId, first, count }));
    expect(announced()).toMatchObject([
      { fetchId: `backhaul ${FETCH_ID}`, isImmediate: false, ranges: expect.arrayContaining(ranges) },
    ]);
  });

  test("cuts ranges of 10 s by the speed that its list shows, or that the worker knows", async () => {
    const plan = { size: 40_000_000, partSize: 1_000_000, partCount: 40 };
    candidates = [candidate({ plan, bytes: new Blob([new Uint8Array(plan.size)]) })];
    const moving = { ...snapshot(ID), lane: "worker", bytesPerSecond: 2_000_000 } as UploadSnapshot;
    await begin();
    handOver.update([moving]);
    handOver.leave();
    expect(requested().map(([, , count]) => count)).toEqual([10, 10, 10, 10]);

    fetches.started.length = 0;
    handOver = makeHandOver(fetches);
    const answer = { relay, bytesPerSecond: 4_000_000, uploads: candidates };
    worker.replies.set("handOverCandidates", () => ({ ok: true, value: answer }));
    await begin();
    handOver.leave();
    expect(requested().map(([, , count]) => count)).toEqual([20, 20]);
  });

  test("gives the lock back as it goes, and hands nothing over twice", async () => {
    await begin();
    handOver.leave();
    await settled();
    expect(lock.isHeld).toBe(false);
    handOver.leave();
    expect(fetches.started).toHaveLength(1);
  });

  test("can come back, from the back/forward cache", async () => {
    await begin();
    handOver.leave();
    await settled();
    await begin();
    handOver.leave();
    expect(fetches.started).toHaveLength(2);
  });

  test("sends headers and token of the time when it goes", async () => {
    await begin();
    auth = { authorization: "Bearer 2" };
    handOver.leave();
    expect(fetches.started[0]?.requests[0]?.headers.get("authorization")).toBe("Bearer 2");
  });

  test("can't have its token replaced by the app's headers", async () => {
    await begin();
    auth = { [RELAY_TOKEN_HEADER]: "forged" };
    handOver.leave();
    expect(fetches.started[0]?.requests[0]?.headers.get(RELAY_TOKEN_HEADER)).toBe("token");
  });

  test("names how many files it hands over", async () => {
    candidates = [candidate(), candidate({ id: OTHER_ID, token: "other" })];
    await begin();
    handOver.leave();
    expect(fetches.started).toMatchObject([{ title: "Uploading 2 files" }]);
    expect([partsOf(ID), partsOf(OTHER_ID)]).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
    const tokens = fetches.started[0]?.requests.map(({ url, headers }) => [
      new URL(url).searchParams.get("upload"),
      headers.get(RELAY_TOKEN_HEADER),
    ]);
    expect(new Set(tokens?.map(String))).toEqual(new Set([`${ID},token`, `${OTHER_ID},other`]));
  });
});

describe("nothing is handed over", () => {
  test("by a page that has not got the lock", async () => {
    handOver.start();
    handOver.leave();
    await settled();
    await lock.grant();
    expect(fetches.started).toEqual([]);
    expect(worker.heard).toEqual([]);
  });

  test("where there is no relay", async () => {
    relay = null;
    await begin();
    handOver.leave();
    expect([fetches.started, announced()]).toEqual([[], []]);
  });

  test("in a browser without Background Fetch", async () => {
    handOver = makeHandOver(undefined);
    await begin();
    handOver.leave();
    expect(announced()).toEqual([]);
  });

  test("where there is no upload, or S3 has all of it", async () => {
    candidates = [candidate({ done: [1, 2, 3] })];
    await begin();
    handOver.leave();
    expect([fetches.started, announced()]).toEqual([[], []]);
  });

  test("where the worker has not answered yet", async () => {
    worker.replies.delete("handOverCandidates");
    await begin();
    handOver.leave();
    expect(fetches.started).toEqual([]);
  });

  test("by a page that has closed its connection", async () => {
    await begin();
    handOver.close();
    await settled();
    expect([lock.isHeld, isChannelOpen]).toEqual([false, false]);
    handOver.leave();
    expect(fetches.started).toEqual([]);
  });
});

describe("what S3 has is left out", () => {
  test("as listed in the worker's answer", async () => {
    candidates = [candidate({ done: [1, 3] })];
    await begin();
    handOver.leave();
    expect(partsOf(ID)).toEqual([2]);
  });

  test("as confirmed by messages since", async () => {
    await begin();
    partsDone([1]);
    partsDone([2]);
    handOver.leave();
    expect(partsOf(ID)).toEqual([3]);
  });

  test("as confirmed while the worker's answer was on its way", async () => {
    await begin();
    handOver.refresh();
    partsDone([1]);
    await settled();
    handOver.leave();
    expect(partsOf(ID)).toEqual([2, 3]);
  });

  test("as confirmed while the first answer was on its way", async () => {
    handOver.start();
    const granted = lock.grant();
    await Promise.resolve();
    worker.replies.set("handOverCandidates", () => {
      partsDone([1]);
      return { ok: true, value: { relay, bytesPerSecond: null, uploads: candidates } };
    });
    await granted;
    handOver.leave();
    expect(partsOf(ID)).toEqual([2, 3]);
  });

  test("but not the parts of an upload that had to begin anew, since they are gone", async () => {
    await begin();
    partsDone([1, 2]);
    candidates = [candidate({ token: "second try" })];
    handOver.refresh();
    await settled();
    handOver.leave();
    expect(partsOf(ID)).toEqual([1, 2, 3]);
  });

  test.each([
    ["of another upload", () => partsDone([1, 2, 3], OTHER_ID)],
    ["of another version", () => partsDone([1, 2, 3], ID, PROTOCOL_VERSION + 1)],
    ["that is empty", () => say(null)],
  ])("but not by a message %s", async (_what, tell) => {
    await begin();
    tell();
    handOver.leave();
    expect(partsOf(ID)).toEqual([1, 2, 3]);
  });
});

describe("changes of the list", () => {
  test("have the worker asked once for each upload that begins to be sent", async () => {
    await begin();
    const before = asked();
    handOver.update([snapshot(ID), snapshot(OTHER_ID, "queued")]);
    handOver.update([snapshot(ID), snapshot(OTHER_ID, "queued")]);
    await settled();
    expect(asked() - before).toBe(1);
    handOver.update([snapshot(ID), snapshot(OTHER_ID)]);
    await settled();
    expect(asked() - before).toBe(2);
  });

  test("have it asked for what is new only, and what is known stays", async () => {
    await begin();
    candidates = [candidate({ id: OTHER_ID, token: "other" })];
    handOver.update([snapshot(ID), snapshot(OTHER_ID)]);
    await settled();
    expect(known()).toEqual([[], ["token"]]);
    handOver.leave();
    expect([partsOf(ID), partsOf(OTHER_ID)]).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
  });

  test("have it asked again for an upload that was paused in between", async () => {
    await begin();
    handOver.update([snapshot(ID)]);
    handOver.update([snapshot(ID, "paused")]);
    await settled();
    const before = asked();
    handOver.update([snapshot(ID)]);
    await settled();
    expect(asked() - before).toBe(1);
  });

  test.each([
    ["done", snapshot(ID, "done")],
    ["paused", snapshot(ID, "paused")],
    ["canceled", snapshot(ID, "canceled")],
    ["waiting for its hour", snapshot(ID, "waiting", "conditions")],
  ])("take an upload from what is handed over that is %s", async (_what, upload) => {
    await begin();
    handOver.update([upload]);
    handOver.leave();
    expect(fetches.started).toEqual([]);
  });

  test("count more than an answer from before them: what was paused meanwhile is not handed over", async () => {
    candidates = [candidate(), candidate({ id: OTHER_ID, isImmediate: true })];
    handOver.start();
    const granted = lock.grant();
    handOver.update([snapshot(ID, "paused"), snapshot(OTHER_ID, "paused")]);
    await granted;
    expect(asked()).toBe(1);
    handOver.leave();
    expect(fetches.started).toEqual([]);
  });

  test("leave an upload that waits for the network: the browser may get it through", async () => {
    await begin();
    handOver.update([snapshot(ID, "waiting", "offline")]);
    handOver.leave();
    expect(partsOf(ID)).toEqual([1, 2, 3]);
  });

  test("mean nothing to a page without the lock, nor does another worker", async () => {
    handOver.start();
    handOver.update([snapshot(ID)]);
    handOver.refresh();
    await settled();
    expect(worker.heard).toEqual([]);
  });

  test("of the worker's life have it asked again", async () => {
    await begin();
    const before = asked();
    handOver.refresh();
    await settled();
    expect(asked() - before).toBe(1);
    // Parts may have been confirmed that this page has not heard of.
    expect(known().at(-1)).toEqual([]);
  });

  test("have questions asked one after another, and a refusal stops none of them", async () => {
    worker.replies.set("handOverCandidates", () => ({
      ok: false,
      error: { code: "OWNER_CHANGED", detail: "" },
    }));
    await begin();
    expect(asked()).toBe(1);
    worker.replies.set("handOverCandidates", () => ({
      ok: true,
      value: { relay, bytesPerSecond: null, uploads: candidates },
    }));
    handOver.refresh();
    await settled();
    handOver.leave();
    expect(partsOf(ID)).toEqual([1, 2, 3]);
  });
});

describe("an upload that the app wants the browser to carry at once", () => {
  beforeEach(() => {
    candidates = [candidate({ isImmediate: true }), candidate({ id: OTHER_ID })];
  });

  test("is handed over while the page stays, alone", async () => {
    await begin();
    await gathered();
    expect(fetches.started).toMatchObject([{ title: "Uploading 1 file" }]);
    expect([partsOf(ID), partsOf(OTHER_ID)]).toEqual([[1, 2, 3], []]);
    expect(announced()).toMatchObject([{ isImmediate: true }]);
  });

  test("is not handed over again by the next answer, nor when the page goes", async () => {
    await begin();
    await gathered();
    handOver.refresh();
    await gathered();
    expect(fetches.started).toHaveLength(1);
    handOver.leave();
    expect(fetches.started).toHaveLength(2);
    expect([partsOf(ID), partsOf(OTHER_ID)]).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
  });

  test("is handed over again after it was paused", async () => {
    await begin();
    await gathered();
    handOver.update([snapshot(ID)]);
    await gathered();
    expect(fetches.started).toHaveLength(1);
    handOver.update([snapshot(ID, "paused")]);
    handOver.update([snapshot(ID)]);
    await gathered();
    expect(fetches.started).toHaveLength(2);
    expect(announced()).toMatchObject([{ isImmediate: true }, { isImmediate: true }]);
  });

  test("is tried again where the browser has refused it", async () => {
    fetches.refuses = true;
    await begin();
    await gathered();
    fetches.refuses = false;
    handOver.refresh();
    await gathered();
    expect(fetches.started).toHaveLength(2);
    expect(announced()).toHaveLength(2);
  });

  test("is handed over with the others where the browser has refused it before the page goes", async () => {
    fetches.refuses = true;
    await begin();
    await gathered();
    handOver.leave();
    expect(fetches.started[1]).toMatchObject({ title: "Uploading 2 files" });
  });

  test("goes by one transfer with those that come soon after it: the browser may refuse a second", async () => {
    await begin();
    expect(fetches.started).toEqual([]);
    candidates = [candidate({ id: OTHER_ID, isImmediate: true })];
    handOver.update([snapshot(ID), snapshot(OTHER_ID)]);
    await gathered();
    expect(fetches.started).toMatchObject([{ title: "Uploading 2 files" }]);
    expect(announced()).toMatchObject([{ isImmediate: true }]);
  });

  test("is handed over with the others where the page goes before that, and not again", async () => {
    await begin();
    handOver.leave();
    await gathered();
    expect(fetches.started).toMatchObject([{ title: "Uploading 2 files" }]);
    expect(announced()).toMatchObject([{ isImmediate: false }]);
  });

  test("is left alone where it was paused before that", async () => {
    await begin();
    handOver.update([snapshot(ID, "paused")]);
    await gathered();
    expect(fetches.started).toEqual([]);
  });
});

describe("the way to the relay", () => {
  const MIB = 1024 ** 2;
  /** A proxy that refuses larger bodies, as nginx does. */
  const proxyOf = (maxBytes: number) => {
    const seen: number[] = [];
    probe = async (url, { body, headers }) => {
      expect([url, new Headers(headers).get(RELAY_TOKEN_HEADER)]).toEqual([`${RELAY}probe`, "token"]);
      const bytes = (body as Blob).size;
      seen.push(bytes / MIB);
      return bytes > maxBytes ? new Response("<html>", { status: 413 }) : Response.json({ bytes });
    };
    return seen;
  };
  /** Eighty parts of 4 MiB, of which S3 lacks the first three. */
  const large = candidate({
    plan: { size: 320 * MIB, partSize: 4 * MIB, partCount: 80 },
    bytes: new Blob([new Uint8Array(12 * MIB)]),
    done: Array.from({ length: 77 }, (_, index) => index + 4),
  });
  const probed = async () => {
    await begin();
    for (let turn = 0; turn < 20; turn++) await settled();
  };

  test("is tried once, by bodies that grow, and ranges are cut to what comes through", async () => {
    candidates = [large];
    const seen = proxyOf(6 * MIB);
    await probed();
    handOver.refresh();
    await settled();
    expect(seen).toEqual([0, 1, 5, 10]);
    expect(handOver.reach).toEqual({ is: "there", maxBytes: 5 * MIB });
    expect(handOver.canHandOver(ID)).toBe(true);
    handOver.leave();
    expect(partsOf(ID).sort()).toEqual([1, 2, 3]);
    expect(requested().map(([, , count]) => count)).toEqual([1, 1, 1]);
  });

  test("is tried with no more than a twentieth of what there is to send", async () => {
    const { plan } = large;
    candidates = [{ ...large, plan: { ...plan, size: 30 * MIB, partCount: 8 } }];
    const seen = proxyOf(6 * MIB);
    await probed();
    expect([seen, handOver.reach]).toEqual([[0, 1], { is: "there", maxBytes: null }]);
  });

  test("that lets nothing of an upload through is not used for it, and the page knows", async () => {
    candidates = [large];
    proxyOf(MIB);
    await probed();
    expect(handOver.canHandOver(ID)).toBe(false);
    handOver.leave();
    expect(fetches.started).toEqual([]);
  });

  test.each([
    ["is not there", async () => new Response(null, { status: 404 })],
    ["is the app's own page", async () => new Response("<html>", { status: 200 })],
  ])("is not used if what answers %s", async (_what, answer) => {
    vi.spyOn(console, "warn").mockImplementation(() => {});
    probe = answer;
    await probed();
    handOver.leave();
    expect([handOver.reach.is, fetches.started]).toEqual(["missing", []]);
  });

  test.each([
    ["fails", () => Promise.reject(new TypeError("Failed to fetch"))],
    ["is refused for another reason", async () => new Response(null, { status: 503 })],
    ["never ends", () => new Promise<never>(() => {})],
  ])("is used all the same if the probe %s: nothing waits for it", async (_what, answer) => {
    probe = answer;
    await probed();
    handOver.leave();
    expect([handOver.reach.is, fetches.started.length]).toEqual(["unknown", 1]);
  });
});
