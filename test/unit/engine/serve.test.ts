import { createHash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { UploadError } from "../../../src/core/errors.ts";
import { S3_LIMITS } from "../../../src/core/limits.ts";
import { RELAY_ENDED_COOKIE, RELAY_TOKEN_HEADER, relayUrl } from "../../../src/core/relay-url.ts";
import { StorageFault } from "../../../src/core/storage.ts";
import { FETCH_PREFIX, handOverLock, PROTOCOL_VERSION } from "../../../src/protocol/protocol.ts";
import { MemoryDisk, openMemoryDatabase } from "../../../sw/database/memory-database.ts";
import type { UploadDatabase } from "../../../sw/database/upload-database.ts";
import type { UploadRecord } from "../../../sw/model/record.ts";
import type { PageClient, Platform, WorkerEventMap } from "../../../sw/platform/platform.ts";
import { type AuthSource, type ServedStorage, serve } from "../../../sw/serve.ts";
import { checkOptions } from "../../../sw/worker-options.ts";
import { type Settlement, settlementOf } from "../../support/settlement.ts";
import { virtualClock } from "../../support/virtual-clock.ts";
import { VirtualTime } from "../../support/virtual-time.ts";
import { EPOCH, idOf, NAME, recordOf, TEXT } from "./engine-bed.ts";
import { SmallS3 } from "./small-s3.ts";
import { nodeMd5, TextBlob } from "./text-blob.ts";

const ID = idOf(1);
const envelope = { backhaul: PROTOCOL_VERSION };
type Heard = { readonly type: string; readonly message?: { readonly id: string; readonly value: unknown } };

/** A lock manager for one name after another: who asks gets the lock once all before have given it back. */
class LockQueue {
  readonly held: string[] = [];
  readonly holdersOf = new Map<string, readonly string[]>();
  refusals = 0;
  #last: Promise<unknown> = Promise.resolve();

  async hold(name: string, work: () => Promise<void>): Promise<void> {
    if (this.refusals > 0) {
      this.refusals -= 1;
      throw new DOMException("no locks here", "SecurityError");
    }
    const turn = this.#last.then(async () => {
      this.held.push(name);
      await work().finally(() => this.held.splice(this.held.indexOf(name), 1));
    });
    this.#last = turn.catch(() => {});
    await turn;
  }

  async holders(name: string) {
    return this.holdersOf.get(name) ?? [];
  }
}

/** A Background Fetch as a worker finds it. */
class Transfer {
  readonly id: string;
  readonly #records: unknown[];

  constructor(
    id: string,
    first: number,
    count: number,
    responseReady: Promise<Response> = new Promise(() => {}),
  ) {
    this.id = `${FETCH_PREFIX}${id}`;
    const url = relayUrl("https://app.test/up/", { uploadId: ID, first, count }, id);
    const request = new Request(url, { method: "PUT", headers: { [RELAY_TOKEN_HEADER]: "t1" } });
    this.#records = [{ request, responseReady }];
  }
  async matchAll() {
    return this.#records;
  }
}

/** One worker: its events, its pages, its disk, and a storage. */
class Worker {
  readonly time = new VirtualTime();
  readonly s3 = new SmallS3();
  readonly locks = new LockQueue();
  readonly pages: (PageClient & { readonly heard: Heard[] })[] = [];
  readonly network = {
    isOnline: true,
    connection: undefined,
    onChange: (listener: () => void) => {
      this.changed = listener;
    },
  };
  readonly registration = {
    scope: "https://app.test/",
    url: "https://app.test/sw.js",
    hasWaitingVersion: false,
    onNewVersion() {},
  };
  readonly openChannels = new Set<object>();
  readonly transfers: Transfer[] = [];
  /** So many questions for the browser's transfers are still to fail. */
  brokenLookUps = 0;
  readonly cookies = new Map<string, string>();
  readonly auth: unknown[] = [];
  authSource: AuthSource | undefined;
  changed = () => {};
  /** The results of the next openings of the database, in place of the usual one. */
  readonly openings: (() => Promise<UploadDatabase>)[] = [];
  opened = 0;
  readonly wake: ReturnType<typeof serve>;
  readonly #listeners = new Map<string, (event: never) => void>();
  #calls = 0;

  constructor(
    readonly disk = new MemoryDisk(),
    readonly clock = virtualClock(this.time, EPOCH),
  ) {
    const platform = {
      clock,
      random: () => 0,
      uuid: () => "epoch",
      sha256: async (text: string) => createHash("sha256").update(text).digest(),
      fetch: this.s3.fetch,
      network: this.network,
      locks: this.locks,
      clients: { windows: async () => this.pages },
      cookies: {
        get: async (name: string) => this.cookies.get(name),
        set: async (name: string, value: string) => void this.cookies.set(name, value),
      },
      worker: this.registration,
      backgroundFetch: {
        getIds: async () => {
          if (this.brokenLookUps-- > 0)
            throw new DOMException("the service is not there", "InvalidStateError");
          return this.transfers.map(({ id }) => id);
        },
        get: async (id: string) => this.transfers.find((transfer) => transfer.id === id),
      },
      openChannel: () => {
        const channel = { post() {}, close: () => void this.openChannels.delete(channel) };
        this.openChannels.add(channel);
        return channel;
      },
      storageEstimate: async () => ({}),
      on: (type: string, listener: (event: never) => void) => void this.#listeners.set(type, listener),
    } as unknown as Platform;
    const storage: ServedStorage = Object.assign(this.s3, {
      setAuth: (headers: unknown) => void this.auth.push(headers),
      useAuthSource: (source: AuthSource) => {
        this.authSource = source;
      },
      relay: "https://app.test/up/",
    });
    this.wake = serve({
      platform,
      openDatabase: async () => {
        this.opened += 1;
        return this.openings.shift()?.() ?? openMemoryDatabase(this.disk, clock);
      },
      storage,
      options: checkOptions({ checksum: nodeMd5, retry: { baseMs: 1_000, maxMs: 60_000 } }),
      limits: S3_LIMITS,
    });
  }

  /** Stores an upload as an earlier worker has left it. */
  stored(record: UploadRecord): void {
    this.disk.uploads.set(record.id, record);
    this.disk.bytes.set(record.id, new TextBlob(TEXT));
    if ("remote" in record && record.remote.at === "open") this.s3.open(record.remote.token);
  }

  addPage(id = "page"): PageClient & { readonly heard: Heard[] } {
    const heard: Heard[] = [];
    const page = { id, url: "https://app.test/", heard, postMessage: (m: unknown) => heard.push(m as Heard) };
    this.pages.push(page);
    return page;
  }

  /** Fires an event. Returns what it waits for. */
  fire(type: keyof WorkerEventMap, more: object = {}): Settlement<unknown>[] {
    const held: Settlement<unknown>[] = [];
    const waitUntil = (promise: Promise<unknown>) => void held.push(settlementOf(promise));
    this.#listeners.get(type)?.({ ...more, waitUntil } as never);
    return held;
  }

  /** Calls the API as a page does, and gives what it is answered by then. */
  async call(name: string, ...args: unknown[]): Promise<unknown> {
    const page = this.pages[0] ?? this.addPage();
    this.#calls += 1;
    const id = String(this.#calls);
    const argumentList = args.map((value) => ({ type: "RAW", value }));
    const message = { id, type: "APPLY", path: [name], argumentList };
    this.fire("message", { data: { ...envelope, type: "call", message }, source: page });
    await this.time.settle();
    return page.heard.find((heard) => heard.message?.id === id)?.message?.value;
  }

  state(): string | undefined {
    return this.disk.uploads.get(ID)?.state;
  }
}

let worker: Worker;
let warned: ReturnType<typeof vi.spyOn>;
beforeEach(() => {
  worker = new Worker();
  warned = vi.spyOn(console, "warn").mockImplementation(() => {});
  vi.spyOn(console, "error").mockImplementation(() => {});
});
afterEach(() => vi.restoreAllMocks());

describe("the engine", () => {
  test("is started by the first event, once, and holds the lock for as long as it lives", async () => {
    expect(worker.opened).toBe(0);
    worker.fire("activate");
    worker.fire("activate");
    expect(await worker.call("list")).toMatchObject({ ok: true, value: { hasRelay: true, uploads: [] } });
    expect([worker.opened, worker.locks.held]).toEqual([1, [NAME]]);
  });

  test("goes on with what an earlier worker has left as it is activated, which keeps no page waiting", async () => {
    worker.stored(recordOf("uploading"));
    expect(worker.fire("activate")).toEqual([]);
    await worker.time.runUntil(1_000);
    expect(worker.state()).toBe("done");
  });

  test("has an event last until there is nothing left to do", async () => {
    worker.stored(recordOf("uploading"));
    const source = worker.addPage();
    const held = worker
      .fire("message", { data: { ...envelope, type: "wake", isVisit: false }, source })
      .at(-1);
    expect(held?.state).toBe("pending");
    await worker.time.runUntil(1_000);
    expect([worker.state(), held?.state]).toEqual(["done", "fulfilled"]);
  });

  test.each([
    ["the database can't be opened", () => Promise.reject(new UploadError("DATABASE_UNAVAILABLE", "no"))],
    [
      "what is stored can't be read",
      async () => {
        const database = await openMemoryDatabase(worker.disk, worker.clock);
        database.all = () => Promise.reject(new UploadError("DATABASE_UNAVAILABLE", "no"));
        return database;
      },
    ],
    [
      "it can't be read whether pages give headers",
      async () => {
        const database = await openMemoryDatabase(worker.disk, worker.clock);
        database.usesAuth = () => Promise.reject(new UploadError("DATABASE_UNAVAILABLE", "no"));
        return database;
      },
    ],
    [
      "what was measured can't be read",
      async () => {
        const database = await openMemoryDatabase(worker.disk, worker.clock);
        database.partSpeed = () => Promise.reject(new UploadError("DATABASE_UNAVAILABLE", "no"));
        return database;
      },
    ],
  ] as const)(
    "that can't start, since %s, leaves nothing behind and is started again",
    async (_why, open) => {
      worker.stored(recordOf("uploading"));
      worker.openings.push(open);
      expect(await worker.call("list")).toMatchObject({ ok: false, error: { code: "DATABASE_UNAVAILABLE" } });
      expect([worker.disk.connections.size, worker.openChannels.size, worker.locks.held]).toEqual([0, 0, []]);
      // Nobody asks again; the worker does.
      await worker.time.runUntil(5_000);
      expect([worker.opened, worker.state(), worker.locks.held]).toEqual([2, "done", [NAME]]);
      expect(await worker.call("list")).toMatchObject({ ok: true });
    },
  );

  test("whose database is closed by the browser ends, and another one goes on", async () => {
    worker.stored(recordOf("uploading"));
    let release = () => {};
    worker.s3.answer(
      "sign",
      () =>
        new Promise<void>((resolve) => {
          release = resolve;
        }),
    );
    await worker.call("list");
    expect(worker.locks.held).toEqual([NAME]);
    worker.disk.disconnect();
    await worker.time.settle();
    expect([worker.locks.held, worker.openChannels.size]).toEqual([[], 0]);
    await worker.time.runUntil(5_000);
    expect([worker.opened, worker.disk.connections.size, worker.openChannels.size]).toEqual([2, 1, 2]);
    expect([worker.locks.held, worker.state()]).toEqual([[NAME], "done"]);
    release();
    await worker.time.runUntil(10_000);
    // The engine that has ended sends nothing more.
    expect(worker.s3.count("put")).toBe(3);
  });

  test("whose database is closed over a copy has the next one keep the file, before its page is told so", async () => {
    let copies = 0;
    worker.openings.push(async () => {
      const database = await openMemoryDatabase(worker.disk, worker.clock);
      database.putBytes = async () => {
        copies += 1;
        // The copy hears of it before the engine does.
        throw new UploadError("DATABASE_CLOSED");
      };
      return database;
    });
    worker.s3.answer("begin", () => new Promise(() => {}));
    const source = new TextBlob(TEXT);
    const page = worker.addPage();
    await worker.call("add", [{ id: ID, source, options: { key: "a.txt" } }], null, null);
    await worker.time.runUntil(5_000);
    expect(page.heard.findLast(({ message }) => message)).toMatchObject({ message: { value: { ok: true } } });
    expect([copies, worker.opened, worker.state()]).toEqual([1, 2, "done"]);
  });

  test("whose database was deleted starts from nothing", async () => {
    worker.stored(recordOf("paused"));
    expect(await worker.call("list")).toMatchObject({ value: { uploads: [{ id: ID }] } });
    worker.disk.erase();
    await worker.time.settle();
    expect(await worker.call("list")).toMatchObject({ ok: true, value: { uploads: [] } });
  });

  test("that is refused its lock is started again", async () => {
    worker.locks.refusals = 1;
    worker.stored(recordOf("uploading"));
    worker.fire("activate");
    await worker.time.runUntil(5_000);
    expect([worker.opened, worker.locks.held, worker.state()]).toEqual([2, [NAME], "done"]);
    expect(worker.disk.connections.size).toBe(1);
  });

  test("drives though the disk refuses to delete what is left of others", async () => {
    vi.spyOn(console, "warn").mockImplementation(() => {});
    worker.openings.push(async () => {
      const database = await openMemoryDatabase(worker.disk, worker.clock);
      database.bytesIds = () => Promise.reject(new UploadError("QUOTA_EXCEEDED"));
      return database;
    });
    worker.stored(recordOf("uploading"));
    worker.fire("activate");
    await worker.time.runUntil(5_000);
    expect([worker.opened, worker.state()]).toEqual([1, "done"]);
  });

  test("does not drive while another worker does, and reads then what that one has written", async () => {
    let end = () => {};
    void worker.locks.hold(
      NAME,
      () =>
        new Promise((resolve) => {
          end = resolve;
        }),
    );
    worker.stored(recordOf("queued"));
    await worker.call("list");
    await worker.time.runUntil(60_000);
    expect(worker.s3.calls).toEqual([]);
    worker.disk.uploads.set(ID, recordOf("paused"));
    end();
    await worker.time.settle();
    expect(worker.s3.calls).toEqual([]);
    expect(await worker.call("list")).toMatchObject({ value: { uploads: [{ state: "paused" }] } });
  });
});

describe("an engine that ends while it starts", () => {
  test("is followed by one engine, not by two", async () => {
    let reject = (_error: Error) => {};
    worker.openings.push(async () => {
      const database = await openMemoryDatabase(worker.disk, worker.clock);
      database.all = () =>
        new Promise((_resolve, refuse) => {
          reject = refuse;
        });
      return database;
    });
    worker.fire("activate");
    await worker.time.settle();
    worker.disk.disconnect();
    expect(await worker.call("list")).toMatchObject({ ok: true });
    expect(worker.opened).toBe(2);
    reject(new UploadError("DATABASE_CLOSED"));
    await worker.time.runUntil(10_000);
    expect(await worker.call("list")).toMatchObject({ ok: true });
    expect([worker.opened, worker.disk.connections.size, worker.locks.held]).toEqual([2, 1, [NAME]]);
  });
});

describe("an event of the app's own", () => {
  const eventOf = (more: object = {}) => {
    const held: Settlement<unknown>[] = [];
    const waitUntil = (promise: Promise<unknown>) => void held.push(settlementOf(promise));
    return { held, event: { ...more, waitUntil } as never };
  };

  test("carries on what waits, and lasts until there is nothing left to do", async () => {
    worker.stored(recordOf("waiting", 1, { nextAttemptAt: EPOCH + 3_600_000 }));
    const { held, event } = eventOf();
    worker.wake(event);
    expect(held.map(({ state }) => state)).toEqual(["pending"]);
    await worker.time.runUntil(1_000);
    expect([worker.state(), held[0]?.state]).toEqual(["done", "fulfilled"]);
  });

  test("is not used up, if it is one of Background Sync, while something waits for the network", async () => {
    worker.stored(recordOf("uploading"));
    worker.network.isOnline = false;
    for (let call = 0; call < 50; call++) worker.s3.answer("sign", new StorageFault("network", "NETWORK"));
    const { held, event } = eventOf({ tag: "of the app", lastChance: false });
    worker.wake(event);
    await worker.time.runUntil(176_000);
    expect(held.map(({ state }) => state)).toEqual(["rejected"]);
  });
});

describe("a periodic sync", () => {
  test("carries on what waits, if it is ours", async () => {
    worker.stored(recordOf("waiting", 1, { nextAttemptAt: EPOCH + 3_600_000 }));
    expect(worker.fire("periodicsync", { tag: "news" })).toEqual([]);
    const [held] = worker.fire("periodicsync", { tag: NAME });
    await worker.time.runUntil(1_000);
    expect([worker.state(), held?.state]).toEqual(["done", "fulfilled"]);
  });
});

describe("a sync", () => {
  const offline = () => {
    worker.stored(recordOf("uploading"));
    worker.network.isOnline = false;
    for (let call = 0; call < 50; call++) worker.s3.answer("sign", new StorageFault("network", "NETWORK"));
  };

  test("of somebody else's is not ours", () => {
    expect(worker.fire("sync", { tag: "other" })).toEqual([]);
  });

  test("is used once everything is done", async () => {
    worker.stored(recordOf("uploading"));
    const [held] = worker.fire("sync", { tag: NAME });
    await worker.time.runUntil(1_000);
    expect([worker.state(), held?.state]).toEqual(["done", "fulfilled"]);
  });

  test("is not used up while something waits for the network and no page is there", async () => {
    offline();
    const [held] = worker.fire("sync", { tag: NAME });
    await worker.time.runUntil(174_000);
    expect(held?.state).toBe("pending");
    await worker.time.runUntil(176_000);
    expect(held?.state).toBe("rejected");
  });

  test("is used where a page can ask for another one, which it is told", async () => {
    offline();
    const page = worker.addPage();
    const [held] = worker.fire("sync", { tag: NAME });
    await worker.time.runUntil(175_500);
    expect([held?.state, page.heard.at(-1)?.type]).toEqual(["pending", "syncUsed"]);
    worker.fire("message", { data: { ...envelope, type: "here" }, source: page });
    await worker.time.settle();
    expect(held?.state).toBe("fulfilled");
  });

  test.each([
    ["does not answer, since it never connected", "https://app.test/"],
    ["is another app's", "https://elsewhere.test/"],
  ])("is not used where the only page %s", async (_why, url) => {
    offline();
    worker.pages.push({ id: "page", url, heard: [], postMessage: () => {} });
    const [held] = worker.fire("sync", { tag: NAME });
    await worker.time.runUntil(178_000);
    expect(held?.state).toBe("rejected");
  });

  test("with nothing to do while the browser carries the bytes leaves the next one to the browser, until its last", async () => {
    worker.stored({ ...recordOf("uploading"), laneOption: "browser" });
    worker.transfers.push(new Transfer("1", 1, 3));
    const page = worker.addPage();
    const [first] = worker.fire("sync", { tag: NAME, lastChance: false });
    await worker.time.runUntil(5_000);
    expect([first?.state, page.heard.some(({ type }) => type === "syncUsed")]).toEqual(["rejected", false]);
    worker.fire("sync", { tag: NAME, lastChance: true });
    await worker.time.runUntil(6_000);
    expect(page.heard.at(-1)?.type).toBe("syncUsed");
  });

  test("tells nothing of a server that asks for patience", async () => {
    worker.stored(recordOf("uploading"));
    worker.s3.answer("sign", new StorageFault("transient", "SLOW_DOWN", { retryAfterMs: 3_600_000 }));
    worker.fire("activate");
    await worker.time.runUntil(10_000);
    worker.fire("sync", { tag: NAME });
    await worker.time.runUntil(20_000);
    expect([worker.state(), worker.s3.calls]).toEqual(["waiting", ["sign"]]);
  });

  test("that finds no database is fired again", async () => {
    for (let opening = 0; opening < 500; opening++)
      worker.openings.push(() => Promise.reject(new UploadError("DATABASE_UNAVAILABLE")));
    const [held] = worker.fire("sync", { tag: NAME });
    await worker.time.settle();
    expect(held?.state).toBe("rejected");
  });
});

describe("the network's return", () => {
  test("has what waits for it tried at once", async () => {
    worker.stored(recordOf("uploading"));
    worker.s3.answer("sign", new StorageFault("transient", "SLOW_DOWN", { retryAfterMs: 3_600_000 }));
    worker.fire("activate");
    await worker.time.runUntil(10_000);
    expect(worker.state()).toBe("waiting");
    worker.changed();
    await worker.time.runUntil(20_000);
    expect(worker.state()).toBe("done");
  });
});

describe("headers", () => {
  test("go to the storage, and it is remembered that this app gives some", async () => {
    expect(worker.authSource?.isExpected()).toBe(false);
    expect(await worker.call("setAuth", { authorization: "Bearer 1" }, null)).toMatchObject({ ok: true });
    expect([worker.auth, worker.disk.usesAuth]).toEqual([[{ authorization: "Bearer 1" }], true]);
    const next = new Worker(worker.disk);
    await next.call("list");
    expect([next.authSource?.isExpected(), next.auth]).toEqual([true, []]);
    await next.call("setAuth", {}, null);
    expect([next.authSource?.isExpected(), worker.disk.usesAuth]).toEqual([false, false]);
  });

  test("are asked of the pages by the storage, and their answer is passed on", async () => {
    const page = worker.addPage();
    const asked = settlementOf(worker.authSource?.ask() ?? expect.unreachable());
    await worker.time.settle();
    expect([asked.state, page.heard[0]?.type]).toEqual(["pending", "authWanted"]);
    await worker.call("setAuth", { authorization: "Bearer 1" }, null);
    expect(asked.state).toBe("fulfilled");
  });

  test("of whoever was signed in before are forgotten with the owner", async () => {
    await worker.call("setAuth", { authorization: "Bearer 1" }, null);
    await worker.call("setOwner", "ann");
    expect(worker.auth.at(-1)).toBeUndefined();
    expect(worker.disk.owner).toBe("ann");
  });
});

test("a user who comes after one whose uploads were refused does not wait for the next try", async () => {
  worker.stored({ ...recordOf("uploading", 1), owner: "ann" });
  worker.stored({ ...recordOf("uploading", 2), owner: "ben" });
  worker.disk.owner = "ann";
  const isForeign = () => Promise.reject(new StorageFault("unauthorized", "FORBIDDEN"));
  worker.s3.answer("sign", isForeign);
  worker.fire("activate");
  await worker.time.runUntil(5_000);
  expect(worker.disk.uploads.get(ID)).toMatchObject({ state: "waiting", reason: "auth" });
  await worker.call("setOwner", "ben");
  await worker.time.runUntil(10_000);
  expect(worker.disk.uploads.get(idOf(2))?.state).toBe("done");
  expect(worker.disk.uploads.get(ID)).toMatchObject({ state: "waiting", reason: "auth" });
  await worker.call("setOwner", "ann");
  await worker.time.runUntil(15_000);
  expect(worker.state()).toBe("done");
});

describe("what the browser carries", () => {
  const handedOver = (isImmediate: boolean, fetchId: string) => ({
    data: {
      ...envelope,
      type: "handedOver",
      isImmediate,
      fetchId,
      ranges: [{ uploadId: ID, first: 1, count: 2 }],
    },
  });

  // This worker leaves it alone, and nobody has asked for its end.
  const tomorrow = { unmetered: false, notBefore: EPOCH + 86_400_000, hours: null };
  const waiting = recordOf("waiting", 1, { reason: "conditions", conditions: tomorrow, nextAttemptAt: null });

  beforeEach(() => worker.stored(waiting));

  test("is in doubt from the moment that a page hands it over", async () => {
    const transfer = new Transfer("f1", 1, 2);
    worker.transfers.push(transfer);
    worker.fire("message", { ...handedOver(false, transfer.id), source: worker.addPage() });
    await worker.time.runUntil(1_000);
    expect([...(worker.disk.parts.get(ID)?.values() ?? [])]).toMatchObject([
      { partNumber: 1, state: "sending" },
      { partNumber: 2, state: "sending" },
    ]);
    expect(worker.cookies.size).toBe(0);
  });

  test("comes back at once where another page is there", async () => {
    const transfer = new Transfer("f1", 1, 2);
    worker.transfers.push(transfer);
    worker.locks.holdersOf.set(handOverLock(NAME), ["page", "another page"]);
    worker.fire("message", { ...handedOver(false, transfer.id), source: worker.addPage() });
    await worker.time.runUntil(1_000);
    expect(worker.cookies.get(RELAY_ENDED_COOKIE)).toBe("f1");
  });

  test("stays with the browser where the app wants that with a page open", async () => {
    worker.stored({ ...waiting, laneOption: "browser" });
    const transfer = new Transfer("f1", 1, 2);
    worker.transfers.push(transfer);
    worker.locks.holdersOf.set(handOverLock(NAME), ["another page"]);
    worker.fire("message", { ...handedOver(true, transfer.id), source: worker.addPage() });
    await worker.time.runUntil(1_000);
    expect(worker.cookies.size).toBe(0);
  });

  test("that has ended is looked up before anything is sent", async () => {
    worker.stored(recordOf("uploading"));
    worker.s3.store("t1", 1, "hello");
    const transfer = new Transfer("f1", 1, 1, Promise.resolve(new Response("gone", { status: 502 })));
    for (const type of ["backgroundfetchsuccess", "backgroundfetchfail"] as const) {
      const [held] = worker.fire(type, {
        registration: transfer,
      });
      await worker.time.runUntil(worker.time.elapsed + 1_000);
      expect(held?.state).toBe("fulfilled");
    }
    expect(worker.state()).toBe("done");
  });

  describe("that the browser ends while the disk is full", () => {
    let isFull = true;
    const open = async () => {
      const database = await openMemoryDatabase(worker.disk, worker.clock);
      for (const name of ["apply", "claimParts", "doubtParts", "partsDone"] as const) {
        const write: (...row: never[]) => unknown = database[name].bind(database);
        const ifRoom = async (...row: never[]) => {
          if (isFull) throw new UploadError("QUOTA_EXCEEDED");
          return write(...row);
        };
        Object.assign(database, { [name]: ifRoom });
      }
      return database;
    };

    beforeEach(() => {
      isFull = true;
      worker.openings.push(open, open);
      warned.mockImplementation(() => {});
    });

    test("is noted by the next engine, if need be, as soon as there is room", async () => {
      worker.stored(recordOf("uploading"));
      worker.s3.store("t1", 1, "hello");
      const registration = new Transfer("f1", 1, 1, Promise.resolve(new Response("gone", { status: 502 })));
      const [held] = worker.fire("backgroundfetchsuccess", { registration });
      await worker.time.runUntil(5_000);
      worker.disk.disconnect();
      await worker.time.runUntil(10_000);
      expect([held?.state, worker.opened, worker.disk.parts.size]).toEqual(["pending", 2, 0]);
      isFull = false;
      await worker.time.runUntil(20_000);
      expect([held?.state, worker.state()]).toEqual(["fulfilled", "done"]);
      expect(worker.s3.calls).not.toContain("put 1");
    });

    test("is noted before a newer version of the worker is let in", async () => {
      worker.stored(recordOf("uploading"));
      worker.registration.hasWaitingVersion = true;
      const response = Promise.resolve(new Response("gone", { status: 502 }));
      const [held] = worker.fire("backgroundfetchfail", { registration: new Transfer("f1", 1, 1, response) });
      await worker.time.runUntil(5_000);
      expect([held?.state, worker.disk.parts.get(ID)?.size ?? 0]).toEqual(["pending", 0]);
      isFull = false;
      await worker.time.runUntil(10_000);
      expect(held?.state).toBe("fulfilled");
    });

    test("is given up before the browser kills the worker over it", async () => {
      worker.stored(recordOf("uploading"));
      const [held] = worker.fire("backgroundfetchfail", { registration: new Transfer("f1", 1, 1) });
      await worker.time.runUntil(150_000);
      expect(held?.state).toBe("pending");
      await worker.time.runUntil(290_000);
      expect(held?.state).toBe("rejected");
    });

    test("is paused as soon as there is room, if it was the user who stopped it", async () => {
      worker.stored({ ...recordOf("uploading"), laneOption: "browser" });
      worker.s3.answer("sign", () => new Promise(() => {}));
      const response = Promise.reject(new TypeError("stopped"));
      // As in Chromium, where nobody hears of it.
      response.catch(() => {});
      const [held] = worker.fire("backgroundfetchabort", {
        registration: new Transfer("f1", 1, 2, response),
      });
      await worker.time.runUntil(5_000);
      expect([held?.state, worker.state()]).toEqual(["pending", "uploading"]);
      isFull = false;
      await worker.time.runUntil(10_000);
      expect(held?.state).toBe("fulfilled");
      expect(worker.disk.uploads.get(ID)).toMatchObject({ state: "paused", reason: "browser" });
    });
  });

  test("is asked for again when the browser could not say it at the start", async () => {
    worker.stored(recordOf("uploading"));
    worker.s3.answer("sign", () => new Promise(() => {}));
    worker.transfers.push(new Transfer("f1", 1, 2));
    worker.brokenLookUps = 2;
    worker.fire("activate");
    const lane = async () => {
      const { value } = (await worker.call("list")) as { value: { uploads: { lane: string }[] } };
      return value.uploads[0]?.lane;
    };
    expect(await lane()).toBe("worker");
    await worker.time.runUntil(5_000);
    expect(await lane()).toBe("browser");
  });

  test("and the user stops in the browser's list is paused, with that reason", async () => {
    worker.stored({ ...recordOf("uploading"), laneOption: "browser" });
    worker.s3.answer("sign", () => new Promise(() => {}));
    const response = Promise.reject(new TypeError("stopped"));
    // As in Chromium, where nobody hears of it.
    response.catch(() => {});
    const [held] = worker.fire("backgroundfetchabort", { registration: new Transfer("f1", 1, 2, response) });
    await worker.time.runUntil(1_000);
    expect(held?.state).toBe("fulfilled");
    expect(worker.disk.uploads.get(ID)).toMatchObject({ state: "paused", reason: "browser" });
  });
});

test("a warning says why an engine has ended", async () => {
  await worker.call("list");
  worker.disk.disconnect();
  await worker.time.settle();
  expect(warned).toHaveBeenCalledWith(expect.stringContaining("started again"), expect.any(Error));
});
