import { createHash } from "node:crypto";
import { beforeEach, describe, expect, test } from "vitest";
import type { BeginIntent, PartReceipt, StorageFault } from "../../src/core/storage.ts";
import { createHttpStorage, type HttpStorageOptions } from "../../sw/storage/http-storage.ts";
import { noAnswer, ScriptedFetch } from "../support/scripted-fetch.ts";
import { settlementOf } from "../support/settlement.ts";
import { virtualClock } from "../support/virtual-clock.ts";
import { VirtualTime } from "../support/virtual-time.ts";
import { ID } from "./records.ts";

const intent: BeginIntent = {
  uploadId: ID,
  key: "a.jpg",
  size: 5,
  type: "",
  name: "a.jpg",
  method: "single",
  partSize: 5,
  checksum: "md5",
  triedForMs: null,
};
const receipt = { partNumber: 1, etag: "abc", checksum: null };
const signedPart = { partNumber: 1, url: "https://s3.test/b/a.jpg", headers: {}, expiresInMs: 900_000 };
const part = { partNumber: 1, etag: "abc", size: 5, checksum: null };
const object = { key: "a.jpg", size: 5, etag: "abc", location: "https://s3.test/b/a.jpg" };

let time: VirtualTime;
let network: ScriptedFetch;
beforeEach(() => {
  time = new VirtualTime();
  network = new ScriptedFetch();
});

function storageAt(options: Partial<HttpStorageOptions> = {}) {
  const url = "https://app.test/js/sw.js";
  return createHttpStorage(
    { endpoint: "https://app.test/up", ...options },
    {
      clock: virtualClock(time),
      fetch: network.fetch,
      sha256: async (text: string) => createHash("sha256").update(text).digest(),
      worker: { url, scope: "https://app.test/", hasWaitingVersion: false, onNewVersion: () => {} },
    },
  );
}
type Storage = ReturnType<typeof storageAt>;

/** Each operation: how it is called, what is sent, what is answered, and what that gives. */
const OPERATIONS = [
  {
    name: "begin",
    call: (storage: Storage): Promise<unknown> => storage.begin(intent),
    sent: intent,
    answer: { token: "t", key: "users/a.jpg" },
    value: { token: "t", key: "users/a.jpg" },
    wrong: [
      {},
      { token: "", key: "a" },
      { token: "t" },
      { token: 5, key: "a" },
      { token: "t".repeat(8_193), key: "a" },
    ],
  },
  {
    name: "sign",
    call: (storage: Storage) => storage.sign("t", [{ partNumber: 1, checksum: null }]),
    sent: { token: "t", parts: [{ partNumber: 1, checksum: null }] },
    answer: { parts: [signedPart] },
    value: [signedPart],
    wrong: [
      {},
      { parts: {} },
      { parts: [{ ...signedPart, url: "/relative" }] },
      { parts: [{ ...signedPart, partNumber: 10_001 }] },
      { parts: [{ ...signedPart, headers: { a: 1 } }] },
      { parts: [{ ...signedPart, expiresInMs: -1 }] },
    ],
  },
  {
    name: "parts",
    call: (storage: Storage) => storage.uploadedParts("t", 3),
    sent: { token: "t", after: 3 },
    answer: { parts: [part], next: null },
    value: { parts: [part], next: null },
    wrong: [
      {},
      { parts: [part] },
      { parts: [part], next: -1 },
      { parts: [{ ...part, etag: 'a"b' }], next: null },
      { parts: [{ ...part, checksum: "?" }], next: null },
    ],
  },
  {
    name: "complete",
    call: (storage: Storage) => storage.complete("t", [receipt]),
    sent: { token: "t", parts: [receipt] },
    answer: object,
    value: object,
    wrong: [{}, { ...object, size: "5" }, { ...object, etag: "" }, { ...object, location: undefined }],
  },
  {
    name: "abort",
    call: (storage: Storage) => storage.abort("t"),
    sent: { token: "t" },
    answer: {},
    value: undefined,
    wrong: [null, "done", 5],
  },
] as const;

describe.each(OPERATIONS)("$name", ({ name, call, sent, answer, value, wrong }) => {
  test("asks the server at its own URL, and gives what it answers", async () => {
    network.answer(Response.json(answer));
    expect(await call(storageAt())).toEqual(value);
    const [request] = network.requests;
    expect(request?.url).toBe(`https://app.test/up/${name}`);
    expect(JSON.parse(request?.init.body as string)).toEqual(sent);
  });

  test.each(wrong.map((body) => [body]))("takes %j for no answer: another try may get one", async (body) => {
    network.answer(Response.json(body));
    await expect(call(storageAt())).rejects.toMatchObject({
      name: "StorageFault",
      kind: "transient",
      code: "SERVER_RESPONSE_INVALID",
      detail: expect.stringContaining(name),
    });
  });

  test("takes a page of HTML for no answer", async () => {
    network.answer(new Response("<html>Welcome to the hotel</html>"));
    await expect(call(storageAt())).rejects.toMatchObject({
      kind: "transient",
      code: "SERVER_RESPONSE_INVALID",
    });
  });

  test("believes no other success than 200", async () => {
    network.answer(Response.json(answer, { status: 202 }));
    await expect(call(storageAt())).rejects.toMatchObject({
      kind: "transient",
      code: "SERVER_RESPONSE_INVALID",
    });
  });
});

test("fields that a server adds to its answers are dropped", async () => {
  network.answer(Response.json({ token: "t", key: "a", secret: "s" }));
  expect(await storageAt().begin(intent)).toEqual({ token: "t", key: "a" });
});

describe("a refusal", () => {
  const refused = async (response: Response): Promise<StorageFault> => {
    network.answer(response);
    return storageAt()
      .begin(intent)
      .then(
        () => expect.unreachable(),
        (fault: StorageFault) => fault,
      );
  };
  const error = {
    kind: "permanent",
    code: "FILE_TYPE_REFUSED",
    message: "no",
    detail: "image/svg+xml",
  } as const;

  test("is what the server says in its body", async () => {
    expect(await refused(Response.json({ error }, { status: 415 }))).toMatchObject({
      name: "StorageFault",
      kind: "permanent",
      code: "FILE_TYPE_REFUSED",
      detail: "image/svg+xml",
      retryAfterMs: undefined,
    });
  });

  test("has the time that the server asks for", async () => {
    const limited = { ...error, kind: "transient", code: "RATE_LIMITED" };
    const headers = { "retry-after": "30" };
    expect(await refused(Response.json({ error: limited }, { status: 429, headers }))).toMatchObject({
      kind: "transient",
      code: "RATE_LIMITED",
      retryAfterMs: 30_000,
    });
  });

  test("may have a code of a newer server", async () => {
    const newer = { ...error, code: "MOON_PHASE_WRONG" };
    expect(await refused(Response.json({ error: newer }, { status: 400 }))).toMatchObject({
      kind: "permanent",
      code: "MOON_PHASE_WRONG",
    });
  });

  test.each([
    ["no body", ""],
    ["HTML", "<html>"],
    ["an error without a kind", JSON.stringify({ error: { ...error, kind: undefined } })],
    ["a kind that does not exist", JSON.stringify({ error: { ...error, kind: "fatal" } })],
    ["a code that is none", JSON.stringify({ error: { ...error, code: "<script>" } })],
    ["a detail of megabytes", JSON.stringify({ error: { ...error, detail: "x".repeat(4_097) } })],
  ])("with %s is judged by its status", async (_what, body) => {
    expect(await refused(new Response(body, { status: 403 }))).toMatchObject({
      kind: "transient",
      code: "SERVER_RESPONSE_INVALID",
      detail: "403",
    });
  });

  test.each([
    [401, "unauthorized", "UNAUTHORIZED"],
    [404, "transient", "SERVER_RESPONSE_INVALID"],
    [500, "transient", "SERVER_ERROR"],
    [503, "transient", "SLOW_DOWN"],
  ])("of status %i alone is %s", async (status, kind, code) => {
    expect(await refused(new Response(null, { status }))).toMatchObject({ kind, code });
  });
});

describe("the app's headers", () => {
  test("go along with every request from the time they are given, until they are replaced", async () => {
    const storage = storageAt();
    network.answer(...[1, 2, 3, 4].map(() => Response.json({})));
    await storage.abort("t");
    storage.setAuth({ authorization: "Bearer 1" });
    await storage.abort("t");
    await storage.abort("t");
    storage.setAuth({});
    await storage.abort("t");
    expect(network.requests.map(({ init }) => new Headers(init.headers).get("authorization"))).toEqual([
      null,
      "Bearer 1",
      "Bearer 1",
      null,
    ]);
  });

  test("that came while an older request was refused are tried at once: nobody would say so again", async () => {
    const storage = storageAt();
    storage.setAuth({ authorization: "Bearer old" });
    network.answer(
      () => {
        storage.setAuth({ authorization: "Bearer new" });
        return new Response(null, { status: 401 });
      },
      Response.json({ token: "t", key: "a" }),
    );
    expect(await storage.begin(intent)).toEqual({ token: "t", key: "a" });
    expect(network.requests.map(({ init }) => new Headers(init.headers).get("authorization"))).toEqual([
      "Bearer old",
      "Bearer new",
    ]);
    expect(network.requests[1]?.init.body).toBe(network.requests[0]?.init.body);
  });

  test("that came while the newer ones were refused are tried, but not without end", async () => {
    const storage = storageAt();
    let signIns = 0;
    const refusedAsTheUserSignsIn = () => {
      signIns += 1;
      storage.setAuth({ authorization: `Bearer ${signIns}` });
      return new Response(null, { status: 401 });
    };
    const begun = Response.json({ token: "t", key: "a" });
    storage.setAuth({ authorization: "Bearer 0" });
    network.answer(refusedAsTheUserSignsIn, refusedAsTheUserSignsIn, begun);
    expect(await storage.begin(intent)).toEqual({ token: "t", key: "a" });
    expect(network.requests.map(({ init }) => new Headers(init.headers).get("authorization"))).toEqual([
      "Bearer 0",
      "Bearer 1",
      "Bearer 2",
    ]);
    network.answer(...Array.from({ length: 10 }, () => refusedAsTheUserSignsIn));
    await expect(storage.begin(intent)).rejects.toMatchObject({ kind: "unauthorized" });
    expect(network.requests).toHaveLength(3 + 4);
  });

  test("that are refused themselves are not tried again", async () => {
    const storage = storageAt();
    storage.setAuth({ authorization: "Bearer old" });
    network.answer(
      () => {
        storage.setAuth({ authorization: "Bearer new" });
        return new Response(null, { status: 401 });
      },
      new Response(null, { status: 401 }),
    );
    await expect(storage.begin(intent)).rejects.toMatchObject({ kind: "unauthorized" });
    expect(network.requests).toHaveLength(2);
  });
});

describe("several uploads", () => {
  const refusal = { error: { kind: "permanent", code: "FORBIDDEN", message: "No.", detail: "" } };

  test("are begun by one request, each with an outcome of its own", async () => {
    network.answer(Response.json({ uploads: [{ token: "t", key: "a" }, refusal] }));
    const outcomes = await storageAt().beginMany?.([intent, { ...intent, key: "b" }]);
    expect(outcomes).toMatchObject([
      { token: "t", key: "a" },
      { name: "StorageFault", code: "FORBIDDEN" },
    ]);
    expect(network.requests.map(({ url }) => url)).toEqual(["https://app.test/up/begin-many"]);
  });

  test.each([
    ["names of usual length", "a.jpg", 100, 32],
    ["the longest names, which take three bytes for a character", "ü".repeat(1_000), 32, 17],
    ["a name that is longer than all that", "ü".repeat(30_000), 2, 1],
  ])("are as many as the server reads in one request: %s", async (_what, key, given, asked) => {
    network.answer(Response.json({ uploads: [] }));
    await storageAt().beginMany?.(Array.from({ length: given }, () => ({ ...intent, key })));
    expect(JSON.parse(network.requests[0]?.init.body as string).uploads).toHaveLength(asked);
  });
});

describe("with no page that has the app's headers", () => {
  const unauthorized = () => new Response(null, { status: 401 });
  const bodies = () => network.requests.map(({ init }) => JSON.parse(init.body as string));
  /** A storage of an app whose pages usually give headers, and that has none open. */
  function deserted() {
    const storage = storageAt();
    let asked = 0;
    storage.useAuthSource({
      isExpected: () => true,
      async ask() {
        asked += 1;
      },
    });
    return { storage, asked: () => asked };
  }

  test("an upload is looked up, sent and completed by its token alone", async () => {
    const { storage, asked } = deserted();
    network.answer(
      Response.json({ parts: [part], next: null }),
      Response.json({ parts: [signedPart] }),
      Response.json(object),
    );
    await storage.uploadedParts("t", 0);
    await storage.sign("t", [{ partNumber: 1, checksum: null }]);
    expect(await storage.complete("t", [receipt])).toEqual(object);
    expect(bodies()).toEqual([
      { token: "t", after: 0, unattended: true },
      { token: "t", parts: [{ partNumber: 1, checksum: null }], unattended: true },
      { token: "t", parts: [receipt], unattended: true },
    ]);
    expect([asked(), storage.isUnattended]).toEqual([3, true]);
  });

  test.each(["begin", "abort"] as const)("nothing is sent for %s: it needs its user", async (name) => {
    const { storage } = deserted();
    const { call } = OPERATIONS.find((operation) => operation.name === name) ?? OPERATIONS[0];
    await expect(call(storage)).rejects.toMatchObject({ kind: "unauthorized" });
    expect(network.requests).toEqual([]);
  });

  test.each([
    ["401", unauthorized()],
    ["403, be it a middleware's that misses a header", new Response("<html>", { status: 403 })],
    ["a redirect", Response.redirect("https://app.test/login", 302)],
  ])("an upload waits for its user if the server wants one: %s", async (_what, answer) => {
    const { storage } = deserted();
    network.answer(answer);
    await expect(storage.complete("t", [receipt])).rejects.toMatchObject({ kind: "unauthorized" });
    expect(network.requests).toHaveLength(1);
  });

  test("an upload is completed by its token where the headers were refused and no page has others", async () => {
    const { storage, asked } = deserted();
    storage.setAuth({ authorization: "Bearer old" });
    network.answer(unauthorized(), Response.json(object));
    expect(await storage.complete("t", [receipt])).toEqual(object);
    expect(bodies().map(({ unattended }) => unattended)).toEqual([undefined, true]);
    expect([asked(), storage.isUnattended]).toEqual([1, true]);
  });

  test.each([{ authorization: "Bearer old" }, undefined])(
    "nothing more is sent where a session was refused, since its user may have signed out: %o",
    async (headers) => {
      const storage = storageAt();
      storage.setAuth(headers);
      network.answer(unauthorized());
      const signing = storage.sign("t", [{ partNumber: 1, checksum: null }]);
      await expect(signing).rejects.toMatchObject({ kind: "unauthorized" });
      expect(bodies().map(({ unattended }) => unattended)).toEqual([undefined]);
    },
  );

  test("newer headers of a page are used rather than the token alone", async () => {
    const storage = storageAt();
    storage.useAuthSource({
      isExpected: () => true,
      ask: async () => storage.setAuth({ authorization: "Bearer new" }),
    });
    storage.setAuth({ authorization: "Bearer old" });
    network.answer(unauthorized(), Response.json(object));
    await storage.complete("t", [receipt]);
    expect(bodies().map(({ unattended }) => unattended)).toEqual([undefined, undefined]);
    expect(storage.isUnattended).toBe(false);
  });
});

describe("the server's time", () => {
  test.each([
    ["30 s", {}, 30_000],
    ["what the app says", { timeoutMs: 7_000 }, 7_000],
  ])("to answer is %s, and eight times as much to complete", async (_what, options, timeoutMs) => {
    const storage = storageAt(options);
    network.answer(noAnswer, noAnswer);
    const begun = settlementOf(storage.begin(intent));
    const completed = settlementOf(storage.complete("t", [receipt]));
    await time.runUntil(timeoutMs - 1);
    expect(begun.state).toBe("pending");
    await time.runUntil(timeoutMs);
    expect(begun.error).toMatchObject({ kind: "network", code: "STALLED" });
    await time.runUntil(8 * timeoutMs - 1);
    expect(completed.state).toBe("pending");
    await time.runUntil(8 * timeoutMs);
    expect(completed.error).toMatchObject({ kind: "network", code: "STALLED" });
  });
});

describe("the endpoint", () => {
  test.each([
    ["https://app.test/up", "https://app.test/up/abort"],
    ["https://app.test/up/", "https://app.test/up/abort"],
    ["/up", "https://app.test/up/abort"],
    ["../up", "https://app.test/up/abort"],
    ["up", "https://app.test/js/up/abort"],
    ["https://api.test/v1/", "https://api.test/v1/abort"],
  ])("%s is asked at %s", async (endpoint, url) => {
    network.answer(Response.json({}));
    await storageAt({ endpoint }).abort("t");
    expect(network.requests[0]?.url).toBe(url);
  });

  test("that is no URL is refused at once", () => {
    expect(() => storageAt({ endpoint: "https://" })).toThrow(TypeError);
  });
});

describe("the relay", () => {
  test.each([
    ["of the worker's own origin", {}, "https://app.test/up/"],
    ["that the app wants none of", { relay: false }, null],
    ["of another origin", { endpoint: "https://api.test/up" }, null],
    ["of another port", { endpoint: "https://app.test:8443/up" }, null],
    ["without TLS", { endpoint: "http://app.test/up" }, null],
  ])("%s", (_what, options, relay) => {
    expect(storageAt(options).relay).toBe(relay);
  });
});

describe("an option that is out of bounds is refused, with its name", () => {
  test.each([
    [{ timeoutMs: 0 }, "timeoutMs"],
    [{ timeoutMs: -1 }, "timeoutMs"],
    [{ timeoutMs: Number.NaN }, "timeoutMs"],
    [{ timeoutMs: Number.POSITIVE_INFINITY }, "timeoutMs"],
    [{ timeoutMs: 3_600_001 }, "timeoutMs"],
    [{ timeoutMs: "30000" }, "timeoutMs"],
    [{ relay: "no" }, "relay"],
    [{ credentials: "always" }, "credentials"],
  ])("%j", (options, name) => {
    expect(() => storageAt(options as never)).toThrow(
      expect.objectContaining({ code: "OPTION_INVALID", detail: expect.stringMatching(`^${name}: `) }),
    );
  });
});

describe("to complete an upload of many parts", () => {
  const md5Of = (text: string) => createHash("md5").update(text).digest();
  const many = (count: number, etag?: string) =>
    Array.from({ length: count }, (_, index) => ({
      partNumber: index + 1,
      etag: etag ?? md5Of(String(index)).toString("hex"),
      checksum: md5Of(String(index)).toString("base64"),
    }));
  const bodyOf = async (parts: readonly PartReceipt[]) => {
    network.answer(Response.json(object));
    await storageAt().complete("t", parts);
    return network.requests.at(-1)?.init.body as string;
  };
  const sha256 = (text: string) => createHash("sha256").update(text).digest("base64");

  test.each([1_300, 10_000])(
    "%i of them fit through any body parser, since S3 has their list",
    async (count) => {
      const parts = many(count);
      const body = await bodyOf(parts);
      expect(body.length).toBeLessThan(1_000);
      expect(JSON.parse(body)).toEqual({
        token: "t",
        listed: {
          count,
          etags: sha256(parts.map(({ partNumber, etag }) => `${partNumber} ${etag}\n`).join("")),
          checksums: sha256(parts.map(({ partNumber, checksum }) => `${partNumber} ${checksum}\n`).join("")),
        },
      });
    },
  );

  test("the longest list that is sent has less than the 100 kB that body parsers take", async () => {
    const body = await bodyOf(many(200, "e".repeat(256)));
    expect(JSON.parse(body).parts).toHaveLength(200);
    expect(body.length).toBeLessThan(100_000);
  });

  test("says nothing of checksums that S3's list can't tell", async () => {
    for (const parts of [
      many(300, "of-kms"),
      many(300).map((part, index) => (index === 7 ? { ...part, checksum: null } : part)),
    ])
      expect(JSON.parse(await bodyOf(parts)).listed.checksums).toBeNull();
    const one = many(300).map((part, index) => (index === 7 ? { ...part, etag: "of-another-file" } : part));
    expect(JSON.parse(await bodyOf(one)).listed.checksums).not.toBeNull();
  });
});
