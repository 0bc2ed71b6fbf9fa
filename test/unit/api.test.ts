import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { UploadError } from "../../src/core/errors.ts";
import { S3_LIMITS } from "../../src/core/limits.ts";
import { ENGINE_DEFAULTS } from "../../src/core/options.ts";
import type { WireSnapshot } from "../../src/core/snapshot.ts";
import {
  type AddRequest,
  type BelievedOwner,
  MAX_ADDED,
  type WorkerApi,
} from "../../src/protocol/protocol.ts";
import { compareTurns } from "../../sw/model/schedule.ts";
import { createWorkerApi, type NewUpload, type UploadCommands } from "../../sw/pages/api.ts";
import { virtualClock } from "../support/virtual-clock.ts";
import { VirtualTime } from "../support/virtual-time.ts";
import { ID } from "./records.ts";

const OTHER_ID = "0f0e0d0c-0b0a-4908-8706-050403020100";
const EPOCH = 1_800_000_000_000;

/** Notes what the engine was told, and does nothing else. */
class RecordedCommands implements UploadCommands {
  owner = "anna";
  readonly partSpeed = null;
  readonly linkSpeed = 3;
  readonly mark = { epoch: "e", sequence: 3 };
  uploads: WireSnapshot[] = [];
  promiseMark = () => this.mark;
  readonly calls: unknown[][] = [];
  readonly added: NewUpload[] = [];
  /** The error with which the next command rejects. */
  fault: unknown;

  list() {
    return { ...this.mark, uploads: this.uploads };
  }

  checkOwner(believed: BelievedOwner) {
    if (believed !== null && believed !== this.owner) throw new UploadError("OWNER_CHANGED");
  }

  async add(uploads: readonly NewUpload[]) {
    this.added.push(...uploads);
    await this.#note("add", uploads.length);
  }
  pause = (id: string | null) => this.#note("pause", id);
  resume = (id: string | null) => this.#note("resume", id);
  retry = (id: string | null) => this.#note("retry", id);
  cancel = (id: string) => this.#note("cancel", id);
  remove = (id: string | null) => this.#note("remove", id);
  attach = (id: string, source: unknown) => this.#note("attach", id, source);
  reopen = (id: string) => this.#note("reopen", id);
  forget = (owner: string) => this.#note("forget", owner);
  setOwner = (owner: string) => this.#note("setOwner", owner);
  authorized = (usesAuth: boolean) => this.#note("authorized", usesAuth);
  visited = () => this.#note("visited");
  takeBack = () => this.#note("takeBack");

  async handle(id: string) {
    await this.#note("handle", id);
    return "handle" as never;
  }

  async handOverCandidates(known: readonly string[]) {
    await this.#note("handOverCandidates", known);
    return [];
  }

  async #note(...call: unknown[]) {
    if (this.fault !== undefined) throw this.fault;
    this.calls.push(call);
  }
}

let commands: RecordedCommands;
let auth: unknown[];
let api: WorkerApi;

const context = {
  commands: async () => commands,
  setAuth: (headers: object) => void auth.push(headers),
  relay: null as string | null,
  limits: S3_LIMITS,
  checksum: "md5",
  options: ENGINE_DEFAULTS,
  clock: virtualClock(new VirtualTime(), EPOCH),
  uuid: () => crypto.randomUUID(),
} as const;

function apiWith(relay: string | null): WorkerApi {
  return createWorkerApi({ ...context, relay });
}

beforeEach(() => {
  commands = new RecordedCommands();
  auth = [];
  api = apiWith("https://app.test/uploads/");
});

afterEach(() => void vi.unstubAllGlobals());

const file = new File(["hello"], "a.txt", { type: "text/plain", lastModified: 7 });
const request = (options: object = {}, source: unknown = file, id: unknown = ID) =>
  ({ id, source, options: { key: "a.txt", ...options } }) as AddRequest;

describe("commands", () => {
  test.each([
    ["pause", [ID], ["pause", ID]],
    ["pause", [null], ["pause", null]],
    ["resume", [null], ["resume", null]],
    ["retry", [ID], ["retry", ID]],
    ["retry", [null], ["retry", null]],
    ["visit", [], ["visited"]],
    ["cancel", [ID], ["cancel", ID]],
    ["remove", [null], ["remove", null]],
    ["attach", [ID, file], ["attach", ID, file]],
    ["reopen", [ID], ["reopen", ID]],
    ["setOwner", ["ben"], ["setOwner", "ben"]],
    ["setOwner", [""], ["setOwner", ""]],
    ["takeBack", [], ["takeBack"]],
    ["forget", ["ben"], ["forget", "ben"]],
  ] as const)("%s(%j) reaches the engine and is answered with the mark", async (name, args, call) => {
    const answer = await (api[name] as (...args: readonly unknown[]) => Promise<unknown>)(...args);
    expect(answer).toEqual({ ok: true, value: { epoch: "e", sequence: 3 } });
    expect(commands.calls).toEqual([call]);
  });

  describe("a list of 600 uploads", () => {
    const all = Array.from({ length: 600 }, (_, index) => ({ order: index }) as WireSnapshot);
    const beginning = async () => {
      commands.uploads = all;
      const answer = await api.list();
      if (!answer.ok || !answer.value.rest) throw new Error("there is no rest");
      return { ...answer.value, rest: answer.value.rest };
    };

    test("is given in messages of 250, all as they were when the first was sent", async () => {
      const { uploads, rest } = await beginning();
      commands.uploads = [];
      expect([uploads.length, rest.count]).toEqual([250, 350]);
      const slices = [await api.listRest(rest.id, 0), await api.listRest(rest.id, 250)];
      const given = slices.flatMap((slice) => (slice.ok && slice.value) || []);
      expect([...uploads, ...given]).toEqual(all);
    });

    test("is not kept once all of it was given, nor in a list that is not there", async () => {
      const { rest } = await beginning();
      await api.listRest(rest.id, 0);
      await api.listRest(rest.id, 250);
      const none = { ok: true, value: null };
      expect(await api.listRest(rest.id, 0)).toEqual(none);
      expect(await api.listRest(ID, 0)).toEqual(none);
      expect(await api.listRest("no id", -1)).toMatchObject({ ok: false, error: { code: "OPTION_INVALID" } });
    });

    test("is not given to whoever signs in meanwhile", async () => {
      const { rest } = await beginning();
      commands.owner = "bob";
      expect(await api.listRest(rest.id, 0)).toEqual({ ok: true, value: null });
    });

    test("that pages leave half fetched is kept for the last 16 of them", async () => {
      const { rest } = await beginning();
      for (let count = 0; count < 16; count++) await beginning();
      expect(await api.listRest(rest.id, 0)).toEqual({ ok: true, value: null });
    });
  });

  test("list tells whether uploads can be left to the browser", async () => {
    const list = { epoch: "e", sequence: 3, uploads: [], rest: null };
    expect(await api.list()).toEqual({ ok: true, value: { ...list, hasRelay: true } });
    expect(await apiWith(null).list()).toEqual({ ok: true, value: { ...list, hasRelay: false } });
  });

  test("handle gives the handle", async () => {
    expect(await api.handle(ID)).toEqual({ ok: true, value: "handle" });
  });

  test("handOverCandidates gives uploads and relay", async () => {
    const value = { relay: "https://app.test/uploads/", bytesPerSecond: 3, uploads: [] };
    expect(await api.handOverCandidates("anna", ["a mark"])).toEqual({ ok: true, value });
    expect(commands.calls).toContainEqual(["handOverCandidates", ["a mark"]]);
  });

  test("setAuth hands the headers over before the engine tries again", async () => {
    const told = vi.spyOn(commands, "authorized").mockImplementation(async () => {
      expect(auth).toEqual([{ authorization: "Bearer 1" }]);
    });
    expect(await api.setAuth({ authorization: "Bearer 1" }, "anna")).toMatchObject({ ok: true });
    expect(told).toHaveBeenCalledOnce();
  });

  test("add gives the engine a record, the bytes and what they came from", async () => {
    expect(await api.add([request({ requireDurable: true }), request({}, file, OTHER_ID)], null)).toEqual({
      ok: true,
      value: commands.mark,
    });
    expect(commands.added).toMatchObject([
      { source: file, bytes: file, requireDurable: true },
      { source: file, bytes: file, requireDurable: false },
    ]);
    const [first] = commands.added;
    expect(first?.record).toMatchObject({ id: ID, owner: "anna", name: "a.txt", createdAt: EPOCH });
  });

  test("files added together have one time, however long they take to open, so that the small ones go first", async () => {
    let now = EPOCH;
    const files = Array.from({ length: 500 }, (_, index) => {
      const bytes = new Blob(["x".repeat(index === 10 ? 900_000 : 100)]);
      return request({}, bytes, `0f0e0d0c-0b0a-4908-8706-${String(index).padStart(12, "0")}`);
    });
    const clock = { now: () => now++ };
    const added = await createWorkerApi({ ...context, clock }).add(files, null);
    expect(added).toMatchObject({ ok: true });
    const inTurn = commands.added.map(({ record }, order) => ({ ...record, order })).sort(compareTurns);
    expect(new Set(inTurn.map(({ createdAt }) => createdAt)).size).toBe(1);
    expect(inTurn.at(-1)?.plan.size).toBe(900_000);
    const others = inTurn.slice(0, -1).map(({ order }) => order);
    expect(others).toEqual(others.toSorted((a, b) => a - b));
  });

  describe("files given in several messages", () => {
    const BATCH = "22222222-2222-4333-8444-555555555555";
    const mark = { ok: true, value: { epoch: "e", sequence: 3 } };

    test("are added together with the last ones, in the order given", async () => {
      await api.stage(BATCH, [request()]);
      // As after a lost answer.
      await api.stage(BATCH, [request()]);
      expect(commands.added).toEqual([]);
      expect(await api.add([request({}, file, OTHER_ID)], null, { id: BATCH, count: 1 })).toEqual(mark);
      expect(commands.added.map(({ record }) => record.id)).toEqual([ID, OTHER_ID]);
    });

    test("are not added in part: where the worker has lost some, the page is told", async () => {
      await api.stage(BATCH, [request()]);
      const answer = await api.add([request({}, file, OTHER_ID)], null, { id: BATCH, count: 2 });
      expect([answer, commands.added]).toEqual([{ ok: true, value: null }, []]);
    });

    test("are checked, each of them", async () => {
      for (const answer of [
        await api.stage(BATCH, [request({ priority: "high" })]),
        await api.stage("no id", [request()]),
        await api.add([], null, { id: BATCH, count: -1 }),
      ])
        expect(answer).toMatchObject({ ok: false, error: { code: "OPTION_INVALID" } });
    });

    test("and never added make room for those of other pages", async () => {
      const batches = Array.from({ length: 17 }, () => crypto.randomUUID());
      for (const batch of batches) await api.stage(batch, [request()]);
      const added = async (id = "") => (await api.add([], null, { id, count: 1 })) as { value: unknown };
      expect((await added(batches[0])).value).toBeNull();
      expect((await added(batches[1])).value).toEqual(mark.value);
    });
  });

  test("add begins nothing that its page has seen end", async () => {
    const ended = { ...request({}, file, crypto.randomUUID()), hasEnded: true };
    const answer = await api.add([ended, request()], null, null);
    expect(answer).toMatchObject({ ok: true });
    expect(commands.added.map(({ record }) => record.id)).toEqual([ID]);
  });

  test("add opens a file handle once", async () => {
    class FileSystemFileHandle {
      getFile = vi.fn(async () => file);
    }
    vi.stubGlobal("FileSystemFileHandle", FileSystemFileHandle);
    const handle = new FileSystemFileHandle();
    expect(await api.add([request({}, handle)] as never, null)).toMatchObject({ ok: true });
    expect(handle.getFile).toHaveBeenCalledOnce();
    expect(commands.added[0]).toMatchObject({ bytes: file });
    expect(commands.added[0]?.source).toBe(handle);
  });

  test("no argument names anything but the API's own functions", () => {
    expect(Object.getPrototypeOf(api)).toBeNull();
    expect(Object.isFrozen(api)).toBe(true);
  });
});

describe("an error is answered as a value", () => {
  test("with the error's code and detail", async () => {
    commands.fault = new UploadError("STATE_INVALID", "it is done");
    expect(await api.pause(ID)).toEqual({
      ok: false,
      error: { code: "STATE_INVALID", detail: "it is done" },
    });
  });

  test("as INTERNAL, and written to the console, if it is none of Backhaul's", async () => {
    const logged = vi.spyOn(console, "error").mockImplementation(() => {});
    commands.fault = new TypeError("x is not a function");
    const error = { code: "INTERNAL", detail: "TypeError: x is not a function" };
    expect(await api.list().then(() => api.cancel(ID))).toEqual({ ok: false, error });
    expect(logged).toHaveBeenCalledWith("backhaul:", commands.fault);
    logged.mockRestore();
  });

  test("also where the engine can't be started", async () => {
    const broken = createWorkerApi({
      commands: () => Promise.reject(new UploadError("DATABASE_UNAVAILABLE")),
      setAuth: () => {},
      relay: null,
      limits: S3_LIMITS,
      checksum: "md5",
      options: ENGINE_DEFAULTS,
      clock: virtualClock(new VirtualTime()),
      uuid: () => crypto.randomUUID(),
    });
    expect(await broken.list()).toMatchObject({ ok: false, error: { code: "DATABASE_UNAVAILABLE" } });
  });
});

describe("who believes in another owner than the worker's", () => {
  test.each([
    ["add", [[request()], "ben"]],
    ["setAuth", [{ authorization: "Bearer ben" }, "ben"]],
    ["handOverCandidates", ["ben", []]],
  ] as const)("can't %s", async (name, args) => {
    const answer = await (api[name] as (...args: readonly unknown[]) => Promise<unknown>)(...args);
    expect(answer).toMatchObject({ ok: false, error: { code: "OWNER_CHANGED" } });
    expect(commands.calls).toEqual([]);
    expect(auth).toEqual([]);
  });
});

/** Each value beside a short name for it. */
function named<T>(values: readonly T[]): (readonly [name: string, value: T])[] {
  return values.map((value) => {
    const name = value instanceof Date || typeof value === "number" ? String(value) : JSON.stringify(value);
    return [name && name.length > 70 ? `${name.slice(0, 67)}...` : String(name), value] as const;
  });
}

const NOT_IDS = [undefined, "", "a", 7, true, {}, [ID], `${ID} `, `${ID}\n`, "../../etc/passwd"];
const NOT_OWNERS = [undefined, 5, {}, ["anna"], "x".repeat(1_025)];
const NOT_OPTIONS = [
  { key: undefined },
  { key: 5 },
  { key: ["a"] },
  { name: 5 },
  { name: "n".repeat(1_025) },
  { type: "foo" },
  { type: "image/" },
  { type: `image/${"t".repeat(250)}` },
  { type: "t".repeat(256) },
  { type: null },
  { partSize: "5" },
  { partSize: Number.NaN },
  { lane: "fast" },
  { lane: null },
  { priority: Number.POSITIVE_INFINITY },
  { priority: Number.NaN },
  { priority: "1" },
  { requireDurable: "yes" },
  { conditions: "night" },
  { conditions: null },
  { conditions: { unmetered: 1 } },
  { conditions: { notBefore: Number.NaN } },
  { conditions: { notBefore: Number.POSITIVE_INFINITY } },
  { conditions: { notBefore: "tomorrow" } },
  { conditions: { notBefore: new Date(Number.NaN) } },
  { conditions: { hours: { from: 22 } } },
  { conditions: { hours: { from: 24, to: 6 } } },
  { conditions: { hours: { from: -1, to: 6 } } },
  { conditions: { hours: { from: 22, to: 25 } } },
  { conditions: { hours: { from: 6, to: 6 } } },
  { conditions: { hours: { from: Number.NaN, to: 6 } } },
];
const NOT_HEADERS = [
  undefined,
  null,
  "authorization: x",
  { authorization: 1 },
  { authorization: null },
  { "": "x" },
  { "two words": "x" },
  { "colon:": "x" },
  { authorization: "a\r\nx-evil: b" },
  { authorization: "a\n" },
  { authorization: "a\0" },
  { authorization: "\u2603" },
  Object.fromEntries(Array.from({ length: 33 }, (_, index) => [`h${index}`, "x"])),
];

const NOT_REQUESTS: readonly (readonly [name: string, value: unknown])[] = [
  ["nothing", undefined],
  ["a request that is not in a list", request()],
  ["a request without options", [{ id: ID, source: file }]],
  ["more requests than one call takes", Array.from({ length: MAX_ADDED + 1 }, () => request())],
  ["a null", [null]],
  ["a bad request after a good one", [request(), request({}, file, "x")]],
  ...named(NOT_IDS).map(([name, id]) => [`the id ${name}`, [{ ...request(), id }]] as const),
  ...named(["text", null, {}, new Uint8Array(1)]).map(
    ([name, source]) => [`the file ${name}`, [{ ...request(), source }]] as const,
  ),
  ...named(NOT_OPTIONS).map(([name, options]) => [`the options ${name}`, [request(options)]] as const),
];

describe("hostile arguments", () => {
  async function expectRefused(answer: Promise<unknown>, code = "OPTION_INVALID") {
    expect(await answer).toMatchObject({ ok: false, error: { code } });
    expect(commands.calls).toEqual([]);
    expect(auth).toEqual([]);
  }

  describe.each(["pause", "resume", "retry", "remove"] as const)("of %s", (name) => {
    test.each(named(NOT_IDS))("are refused: the id %s", (_name, id) => expectRefused(api[name](id as never)));
  });

  describe.each(["cancel", "handle", "reopen"] as const)("of %s", (name) => {
    test.each(named([...NOT_IDS, null]))("are refused: the id %s", (_name, id) =>
      expectRefused(api[name](id as never)),
    );
  });

  describe("of attach", () => {
    test.each(named([...NOT_IDS, null]))("are refused: the id %s", (_name, id) =>
      expectRefused(api.attach(id as never, file)),
    );

    test.each(named([undefined, null, "file", { size: 5, type: "" }, [file], new Uint8Array(5)]))(
      "are refused: the file %s",
      (_name, source) => expectRefused(api.attach(ID, source as never), "FILE_INVALID"),
    );
  });

  test.each(named([...NOT_OWNERS, null]))("of setOwner are refused: the owner %s", (_name, owner) =>
    expectRefused(api.setOwner(owner as never)),
  );

  test.each(named(NOT_OWNERS))("are refused wherever an owner is believed: %s", async (_name, owner) => {
    await expectRefused(api.add([request()], owner as never));
    await expectRefused(api.setAuth({}, owner as never));
    await expectRefused(api.handOverCandidates(owner as never, []));
  });

  test.each(named([undefined, null, "mark", [1], ["x".repeat(33)]]))(
    "of handOverCandidates are refused: the marks %s",
    (_name, known) => expectRefused(api.handOverCandidates(null, known as never)),
  );

  describe("of setAuth", () => {
    test.each(named(NOT_HEADERS))("are refused: the headers %s", (_name, headers) =>
      expectRefused(api.setAuth(headers as never, null)),
    );

    test.each([["Bearer s3cret\n"], [53_0000_1234]])(
      "are refused without a word of the header's value, which may be a secret: %j",
      async (authorization) => {
        const answer = await api.setAuth({ authorization } as never, null);
        const detail = expect.stringContaining("authorization");
        expect(answer).toMatchObject({ ok: false, error: { code: "OPTION_INVALID", detail } });
        expect(JSON.stringify(answer)).not.toMatch(/s3cret|5300001234/);
      },
    );
  });

  describe("of add", () => {
    test.each(NOT_REQUESTS)("are refused: %s", (_name, requests) =>
      expectRefused(api.add(requests as never, null)),
    );

    test.each([
      [{ key: "" }, "KEY_INVALID"],
      [{ key: "a/../b" }, "KEY_INVALID"],
      [{ key: "\ud800" }, "KEY_INVALID"],
      [{ partSize: 1 }, "PART_SIZE_INVALID"],
      [{ partSize: Number.POSITIVE_INFINITY }, "PART_SIZE_INVALID"],
      [{ partSize: -5 }, "PART_SIZE_INVALID"],
    ])("are refused: %j, with %s", (options, code) =>
      expectRefused(api.add([request(options)] as never, null), code),
    );

    test("are refused with all that stand beside them: a file that can't be opened", async () => {
      class FileSystemFileHandle {
        getFile = () => Promise.reject(new DOMException("no", "NotAllowedError"));
      }
      vi.stubGlobal("FileSystemFileHandle", FileSystemFileHandle);
      const requests = [request(), request({}, new FileSystemFileHandle(), OTHER_ID)];
      await expectRefused(api.add(requests as never, null), "FILE_PERMISSION");
      expect(commands.added).toEqual([]);
    });

    test("are not kept: options that nobody knows", async () => {
      await api.add([request({ owner: "ben", state: "done" })] as never, null);
      expect(commands.added[0]?.record).toMatchObject({ owner: "anna", state: "queued" });
    });
  });
});
