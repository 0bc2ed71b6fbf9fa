/** Attacks on the server: each is refused with the right status, and nothing of it reaches S3. */
import { createHmac, randomUUID } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { inspect } from "node:util";
import * as v from "valibot";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { MultipartClaims } from "../../s3/claims.ts";
import type { UploadPermit } from "../../server/index.ts";
import { createBodyReader } from "../../server/read-body.ts";
import { createTokenSeal } from "../../server/token.ts";
import { abortRequest, beginAnswer, OPERATIONS, signAnswer } from "../../src/core/http-api.ts";
import { RELAY_TOKEN_HEADER } from "../../src/core/relay-url.ts";
import type { BeginIntent } from "../../src/core/storage.ts";
import { listen } from "./listen.ts";
import { raw } from "./raw-http.ts";
import { startPut, uploadIdOf } from "./relay-client.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { type Fault, type S3Proxy, startProxy } from "./s3-proxy.ts";
import { beginIntent, SECRET, startUploadServer, toSign, type UploadServer } from "./upload-server.ts";

let engine: S3Engine;
/** The door to S3: sees every request that the server makes of it. */
let proxy: S3Proxy;
let server: UploadServer;
let port: number;
/** Alice's upload of two parts of 5 bytes. */
let token: string;
let claims: MultipartClaims;
/** The app's answer in place of its usual one. */
let permitted: (() => UploadPermit | Response) | null = null;
/** All that the server said to clients, and to the log. */
const answers: string[] = [];
const log: string[] = [];

const USER = "x-user";
const JSON_TYPE = { "content-type": "application/json" };
const as = (user: string) => ({ ...JSON_TYPE, [USER]: user });

beforeAll(async () => {
  engine = await startS3();
  proxy = await startProxy(engine.endpoint);
  server = await startUploadServer(engine, {
    client: engine.clientAt(proxy.url, 1),
    authorize(request, intent) {
      if (permitted !== null) return permitted();
      const owner = request.headers.get(USER);
      if (owner === null) return new Response(null, { status: 401 });
      return { key: intent.operation === "begin" ? `${owner}/${intent.key}` : intent.key, owner };
    },
    onError: (...logged) => log.push(inspect(logged, { depth: null, showHidden: true })),
  });
  port = Number(new URL(server.url).port);
  token = await begin({ key: "hers", size: 10, partSize: 5 });
  const opened = await createTokenSeal(SECRET).open(token, Date.now());
  if (opened.method !== "multipart") throw new Error("another upload was meant");
  claims = opened;
});

beforeEach(() => {
  proxy.requests.length = 0;
  proxy.fault = () => null;
  permitted = null;
});

afterAll(async () => {
  await server.close();
  await proxy.close();
  await engine.close();
});

function ask(
  operation: string,
  body: string,
  headers: Readonly<Record<string, string>> = as("alice"),
): Promise<Response> {
  return fetch(`${server.url}/${operation}`, { method: "POST", headers, body });
}

const askJson = (operation: string, body: unknown, user = "alice") =>
  ask(operation, JSON.stringify(body), as(user));

async function begin(intent: Partial<BeginIntent>, user = "alice"): Promise<string> {
  const response = await askJson("begin", beginIntent(intent), user);
  return v.parse(beginAnswer, await response.json()).token;
}

/** Each operation with a token, lawful but for that. */
const later = (withToken: unknown) =>
  [
    ["sign", { token: withToken, parts: toSign([1]) }],
    ["parts", { token: withToken, after: 0 }],
    ["complete", { token: withToken, parts: [1, 2].map((partNumber) => ({ partNumber, etag: "x" })) }],
    ["abort", { token: withToken }],
  ] as const;

interface Relayed {
  readonly upload?: string;
  readonly query?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** The first part of Alice's upload by way of the relay, lawful but for what is said otherwise. */
async function relay(withToken: string, relayed: Relayed = {}): Promise<Response> {
  const { upload = claims.uploadId, query = "first=1&count=1", headers, body = "12345" } = relayed;
  const { request, answer } = startPut(
    `${server.url}/relay?upload=${upload}&${query}&fetch=${randomUUID()}`,
    {
      [RELAY_TOKEN_HEADER]: withToken,
      [USER]: "alice",
      "content-length": body.length,
      ...headers,
    },
  );
  request.end(body);
  const { status, body: json } = await answer;
  return Response.json(json, { status });
}

async function expectRefused(answer: Response | Promise<Response>, status: number): Promise<void> {
  const response = await answer;
  const text = await response.text();
  answers.push(text);
  expect({ status: response.status, text }).toEqual({ status, text });
  expectNoCors(response.headers);
  expect(proxy.requests).toEqual([]);
}

function expectNoCors(headers: Headers): void {
  expect([...headers.keys()].filter((name) => name.startsWith("access-control-"))).toEqual([]);
}

/** A request as no honest client writes it, the last of its connection. */
async function expectRawRefused(head: readonly string[], body: string, status: number): Promise<void> {
  const answer = await raw(port, `${[...head, "Connection: close"].join("\r\n")}\r\n\r\n${body}`);
  answers.push(answer);
  expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  // The smuggled request got no answer.
  expect(answer.match(/^HTTP\/1\.1 /gm)).toHaveLength(1);
  expect(proxy.requests).toEqual([]);
}

describe("tokens", () => {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = (key: string, text: string) =>
    `${text}.${createHmac("sha256", key).update(text).digest("base64url")}`;
  const signature = () => token.split(".")[2] ?? "";
  const altered = (change: Partial<MultipartClaims>) =>
    `v1.${encode({ ...claims, ...change })}.${signature()}`;

  test.each<[string, () => string]>([
    ["of more bytes", () => altered({ size: 10_000_000 })],
    ["of another key", () => altered({ key: "bob/his" })],
    ["of another owner", () => altered({ owner: "bob" })],
    ["of another bucket", () => altered({ bucket: "other" })],
    ["with a later end", () => altered({ expiresAt: 2 ** 52 })],
    ["with alg none", () => `v1.${encode({ ...claims, alg: "none" })}.`],
    ["with alg none and no signature at all", () => `v1.${encode({ ...claims, alg: "none" })}`],
    ["that is a JWT without a signature", () => `${encode({ alg: "none", typ: "JWT" })}.${encode(claims)}.`],
    ["that is a JWT", () => signed(SECRET, `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`)],
    ["signed with an empty key", () => signed("", `v1.${encode(claims)}`)],
    ["signed with the public purpose", () => signed("backhaul upload token v1", `v1.${encode(claims)}`)],
    ["signed with the secret as it is", () => signed(SECRET, `v1.${encode(claims)}`)],
    ["of an older version", () => token.replace("v1", "v0")],
    ["of a prototype's version", () => token.replace("v1", "__proto__")],
    ["with its signature twice", () => `${token}.${signature()}`],
    ["with padding", () => `${token}=`],
    ["cut short", () => token.slice(0, -20)],
    ["with no payload", () => `v1..${signature()}`],
    ["twice over", () => `${token}, ${token}`],
  ])("one %s opens nothing", async (_what, forged) => {
    expect(forged()).not.toBe(token);
    for (const [operation, body] of later(forged())) await expectRefused(askJson(operation, body), 403);
    await expectRefused(relay(forged()), 403);
  });

  test.each<[string, Partial<MultipartClaims>]>([
    ["expired", { expiresAt: 1_000 }],
    ["of another bucket, under the same secret", { bucket: "other-bucket" }],
  ])("one that is rightly signed but %s opens nothing", async (_what, change) => {
    const sealed = await createTokenSeal(SECRET).seal({ ...claims, ...change });
    for (const [operation, body] of later(sealed)) await expectRefused(askJson(operation, body), 403);
    await expectRefused(relay(sealed), 403);
  });

  test.each([null, 5, true, {}, ["v1.a.b"], "", "x".repeat(10_000)].map((value) => [value]))(
    "%j is none",
    async (value) => {
      for (const [operation, body] of later(value)) await expectRefused(askJson(operation, body), 400);
    },
  );

  test("a stolen one is of no use to anyone else, nor once its owner is signed out", async () => {
    for (const thief of ["bob", "Alice", "alice,bob", "__proto__"]) {
      for (const [operation, body] of later(token)) await expectRefused(askJson(operation, body, thief), 403);
      await expectRefused(relay(token, { headers: { [USER]: thief } }), 403);
    }
    for (const [operation, body] of later(token))
      await expectRefused(ask(operation, JSON.stringify(body), JSON_TYPE), 401);
  });

  test("the token of one upload does not accept another upload's bytes", async () => {
    const other = await begin({ key: "other", size: 10, partSize: 5 });
    proxy.requests.length = 0;
    await expectRefused(relay(token, { upload: uploadIdOf(other) }), 403);
    await expectRefused(relay(other), 403);
  });
});

describe("what the app says", () => {
  const all = () => [["begin", beginIntent({ size: 1 })] as const, ...later(token)];

  test.each<[string, () => UploadPermit | Response, number]>([
    [
      "nothing, since it broke down",
      () => {
        throw new Error("password=hunter2");
      },
      503,
    ],
    ["nothing at all", () => undefined as never, 503],
    ["null", () => null as never, 503],
    ["yes", () => true as never, 503],
    ["a key that is no text", () => ({ key: { toString: () => claims.key } }) as never, 503],
    ["sign in first, by a redirect", () => Response.redirect("https://evil.example/", 302), 401],
    ["no, by a success", () => new Response(null, { status: 200 }), 403],
  ])("%s: no operation goes on", async (_what, says, status) => {
    permitted = says;
    for (const [operation, body] of all()) await expectRefused(askJson(operation, body), status);
    await expectRefused(relay(token), status);
  });

  test.each<[string, () => UploadPermit]>([
    ["another key", () => ({ key: "alice/another", owner: "alice" })],
    ["another owner", () => ({ key: claims.key, owner: "bob" })],
    ["no owner", () => ({ key: claims.key })],
  ])("%s than at begin: the upload does not go on", async (_what, says) => {
    permitted = says;
    for (const [operation, body] of later(token)) await expectRefused(askJson(operation, body), 403);
    await expectRefused(relay(token), 403);
  });
});

describe("keys", () => {
  test.each(
    [
      ...["../bob/his", "a/../../bob/his", "./a", "a/.", "a/..", "..", "."],
      ...["a\u0000", "a\r\nx-amz-acl: public-read", "a\n", "\u007f", "a\u0085", "a\u2028"],
      ...["\ud800", "a\udfff", "é".repeat(512), "x".repeat(4_097)],
    ].map((key) => [key]),
  )("%j is none: it would leave its prefix, or be two things to two readers", async (key) => {
    for (const method of ["single", "multipart"] as const)
      await expectRefused(askJson("begin", beginIntent({ key, size: 1, method })), 400);
  });

  test.each(["", "/", "/etc/passwd", "//169.254.169.254/"].map((key) => [key]))(
    "%j is none even where the app takes keys as they come",
    async (key) => {
      permitted = () => ({ key });
      await expectRefused(askJson("begin", beginIntent({ key, size: 1 })), 400);
    },
  );

  /**
   * Keys that would lead elsewhere, or mean something else, if they were ever read as a URL, a path or a
   * query.
   */
  test.each(
    [
      ...[
        "http://169.254.169.254/latest/meta-data",
        "//169.254.169.254/x",
        "https:evil.example",
        "@evil.example/x",
      ],
      ...["%2e%2e/%2e%2e/bob/his", "..%2fbob", "%00", "%0d%0ax", "..\\..\\bob\\his", "\\\\evil.example\\x"],
      ...[
        "a?uploadId=x&partNumber=1",
        "a?acl",
        "?uploads",
        "a#b",
        "a;b",
        "a&b=c",
        "a+b",
        "a b",
        "...",
        "a//b",
        "a/",
      ],
      ...[
        "cafe\u0301",
        "caf\u00e9",
        "．．/bob",
        "‥/bob",
        "\u202egpj.exe",
        "__proto__",
        "constructor",
        "'\"<x>{{7*7}}",
      ],
    ].map((key) => [key]),
  )("%j is but a name, to the last character", async (name) => {
    const key = `alice/${name}`;
    const open = await begin({ key: name, size: 1 });
    expect(proxy.requests).toHaveLength(1);
    expect(await engine.openUploads(key)).toHaveLength(1);
    const single = await begin({ key: name, size: 1, method: "single" });
    for (const each of [open, single]) {
      const response = await askJson("sign", { token: each, parts: toSign([1]) });
      const { parts } = v.parse(signAnswer, await response.json());
      // As a browser reads it.
      const { origin, pathname } = new URL(parts[0]?.url ?? "");
      expect(origin).toBe(proxy.url);
      expect(decodeURIComponent(pathname)).toBe(`/${engine.bucket}/${key}`);
    }
    await askJson("abort", { token: open });
    expect(await engine.openUploads(key)).toEqual([]);
    for (const request of proxy.requests) expect(request).toContain(` /${engine.bucket}/alice/`);
  });

  test("keys that look alike are different keys", async () => {
    const composed = await begin({ key: "caf\u00e9", size: 1 });
    expect(await engine.openUploads("alice/cafe\u0301")).toEqual([]);
    expect(await engine.openUploads("alice/caf\u00e9")).toHaveLength(1);
    await askJson("abort", { token: composed });
  });
});

describe("numbers", () => {
  const text = (intent: Partial<BeginIntent>, field: string, value: string) =>
    JSON.stringify({ ...beginIntent(intent), [field]: "HERE" }).replace('"HERE"', value);

  test.each(["size", "partSize", "triedForMs"])("%s is a whole one", async (field) => {
    for (const value of ["-1", "1.5", "1e400", "-1e400", "9007199254740992", '"1"', "[1]", "{}", "true"])
      await expectRefused(ask("begin", text({ size: 1 }, field, value)), 400);
    for (const value of ["NaN", "Infinity", "0x10", "01", "1n", "+1"])
      await expectRefused(ask("begin", text({ size: 1 }, field, value)), 400);
  });

  test.each([
    [{ size: 1, partSize: 0 }, 400],
    [{ size: 10_001, partSize: 1 }, 400],
    [{ size: 2 ** 52, partSize: 2 ** 40 }, 413],
    [{ size: 6 * 2 ** 30, partSize: 6 * 2 ** 30, method: "single" }, 413],
    [{ size: 2, partSize: 1, method: "single" }, 400],
  ] as const)("%j is no plan", async (intent, status) => {
    await expectRefused(askJson("begin", beginIntent(intent)), status);
  });

  test.each([
    [[]],
    [[0]],
    [[-1]],
    [[3]],
    [[1, 3]],
    [[10_000]],
    [[10_001]],
    [[1.5]],
    [[2 ** 53]],
    [["1"]],
    [[null]],
  ])("%j are no parts of two", async (numbers) => {
    await expectRefused(askJson("sign", { token, parts: toSign(numbers as number[]) }), 400);
  });

  test("more parts at once than may be signed at once are refused", async () => {
    await expectRefused(askJson("sign", { token, parts: toSign(Array.from({ length: 65 }, () => 1)) }), 400);
  });

  test.each([-1, 10_001, 1.5, "0", null])("after %j there are no parts", async (after) => {
    await expectRefused(askJson("parts", { token, after }), 400);
  });

  test.each([
    [[1], 409],
    [[1, 2, 3], 409],
    [[1, 1], 409],
    [[2, 2], 409],
    [[0, 1], 400],
    [[1, 10_001], 400],
  ] as const)("parts %j do not make the object", async (numbers, status) => {
    const parts = numbers.map((partNumber) => ({ partNumber, etag: "x" }));
    await expectRefused(askJson("complete", { token, parts }), status);
  });

  test.each(["</ETag><x>", 'a"b', "a b", "", "x".repeat(257), "\u0000"])("%j is no ETag", async (etag) => {
    const parts = [1, 2].map((partNumber) => ({ partNumber, etag }));
    await expectRefused(askJson("complete", { token, parts }), 400);
  });
});

describe("headers that the client's words would become", () => {
  test.each([
    "text/plain\r\nx-amz-acl: public-read",
    "text/plain\nx: y",
    "text/plain\u0000",
    "text/plain\u007f",
    "tëxt/plain",
    "image/png,text/html",
    "not a type",
  ])("%j is no type", async (type) => {
    for (const method of ["single", "multipart"] as const)
      await expectRefused(askJson("begin", beginIntent({ size: 1, type, method })), 400);
  });

  test("a name is for authorize alone", async () => {
    const name = "a\r\nx-amz-acl: public-read\u0000<script>";
    const open = await begin({ key: "named", name, size: 1 });
    expect(proxy.requests).toEqual([`POST /${engine.bucket}/alice/named?uploads=`]);
    await askJson("abort", { token: open });
  });

  test("an upload's id is a UUID", async () => {
    for (const uploadId of ["x\r\ny: z", "", "../x", `${randomUUID()} `, `${randomUUID()}\n`])
      await expectRefused(askJson("begin", { ...beginIntent({ size: 1 }), uploadId }), 400);
  });
});

describe("bodies", () => {
  const MIB = 1024 * 1024;

  test("a huge one is refused, declared or not", async () => {
    const body = JSON.stringify({ token: "x".repeat(2 * MIB) });
    for (const operation of ["begin", "sign", "parts", "complete", "abort"])
      await expectRefused(ask(operation, body), 413);
    const streamed = fetch(`${server.url}/abort`, {
      method: "POST",
      headers: as("alice"),
      duplex: "half" as const,
      body: new Blob([body]).stream(),
    });
    await expectRefused(streamed, 413);
  });

  test("a huge one that was only declared is not waited for", async () => {
    const socket = connect(port, "127.0.0.1");
    socket.write(
      `POST /begin HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${2 ** 40}\r\n\r\n`,
    );
    const [answer] = await once(socket, "data");
    expect(String(answer)).toMatch(/^HTTP\/1\.1 413 /);
    socket.destroy();
    expect(proxy.requests).toEqual([]);
  });

  test("a body that goes on after the response ends with its connection", async () => {
    const socket = connect(port, "127.0.0.1").on("error", () => {});
    socket.write("POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    const drip = () => {
      if (socket.writable) socket.write("1\r\nx\r\n", () => setImmediate(drip));
    };
    drip();
    const [answer] = await once(socket, "data");
    expect(String(answer)).toMatch(/^HTTP\/1\.1 404 /);
    // By the server's doing: this end would go on for ever.
    await new Promise((resolve) => socket.once("close", resolve));
  });

  test("a body that does not arrive is given up", async () => {
    const request = new Request("http://x/abort", {
      method: "POST",
      headers: JSON_TYPE,
      duplex: "half",
      body: new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode("{")) }),
    });
    const bodies = createBodyReader({ checkToken: async () => {}, timeoutMs: 1 });
    await expect(bodies.read(request, abortRequest)).rejects.toMatchObject({ status: 408 });
  });

  test("a deeply nested body is refused with 400", async () => {
    const deep = "[".repeat(30_000) + "]".repeat(30_000);
    await expectRefused(ask("abort", deep), 400);
    await expectRefused(ask("abort", `{"token":${deep}}`), 400);
    await expectRefused(ask("sign", `{"token":"x","parts":${deep}}`), 400);
    await expectRefused(ask("abort", '{"a":'.repeat(12_000)), 400);
  });

  test("a large one is read only of whoever holds a token", async () => {
    const large = "[".repeat(900_000);
    await expectRefused(ask("complete", large), 413);
    await expectRefused(ask("complete", `{"parts":${large}`), 413);
    await expectRefused(ask("complete", `{"token":"v1.e30.e30","parts":${large}`), 403);
    await expectRefused(ask("complete", `{"token":"${token}","parts":${large}`), 400);
    const parts = Array.from({ length: 10_000 }, (_, index) => ({
      partNumber: index + 1,
      etag: "0".repeat(32),
      checksum: `${"0".repeat(43)}=`,
    }));
    // So many parts the upload has not got.
    await expectRefused(askJson("complete", { token, parts }), 409);
  });

  test("stalled ones are given up, the stalest first, when they hold too much", async () => {
    const bodies = createBodyReader({ checkToken: async () => {}, maxHeldBytes: 100_000 });
    const stalled = (name: string, bytes: number) => {
      let push = (_bytes: number) => {};
      const body = new ReadableStream({
        start(controller) {
          push = (count) => controller.enqueue(new TextEncoder().encode("[".repeat(count)));
          push(bytes);
        },
      });
      const init = { method: "POST", headers: JSON_TYPE, body, duplex: "half" as const };
      const outcome = bodies.read(new Request("http://x/abort", init), abortRequest).then(
        () => `${name} read`,
        (error: { status?: number }) => `${name} ${error.status}`,
      );
      return { push, outcome };
    };
    const first = stalled("first", 40_000);
    const second = stalled("second", 40_000);
    await new Promise((resolve) => setImmediate(resolve));
    // The first body receives bytes, so it is no longer the one that has stood still for longest.
    first.push(1_000);
    await new Promise((resolve) => setImmediate(resolve));
    const third = stalled("third", 40_000);
    expect(await Promise.race([first, second, third].map(({ outcome }) => outcome))).toBe("second 408");
    // The memory that it held is free again, but no more than the limit.
    stalled("fourth", 60_000);
    expect(await Promise.race([first, third].map(({ outcome }) => outcome))).toBe("first 408");
  });

  test.each([
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain",
    "text/plain; charset=application/json",
    "text/plain, application/json",
    "application/json, text/plain",
    "application/json-patch+json",
    "",
  ])("of the type %j could be a form's of another site", async (type) => {
    for (const [operation, body] of [["begin", beginIntent({ size: 1 })] as const, ...later(token)]) {
      const headers = { ...as("alice"), "content-type": type, origin: "https://evil.example" };
      await expectRefused(ask(operation, JSON.stringify(body), headers), 415);
    }
  });

  test.each(["gzip", "br", "deflate", "identity, gzip", "GZIP", "x"])(
    "%s could be a bomb",
    async (encoding) => {
      const headers = { ...as("alice"), "content-encoding": encoding };
      await expectRefused(ask("begin", "x", headers), 415);
      await expectRefused(relay(token, { headers: { "content-encoding": encoding } }), 415);
    },
  );

  test("a prototype lends no fields and takes none", async () => {
    const intent = JSON.stringify(beginIntent({ size: 1 }));
    for (const body of [
      `{"__proto__":${intent}}`,
      `{"constructor":{"prototype":${intent}}}`,
      `{"__proto__":{"token":${JSON.stringify(token)}}}`,
    ])
      for (const operation of ["begin", "abort"]) await expectRefused(ask(operation, body), 400);
    await expectRefused(relay(token, { query: "__proto__[first]=1&__proto__[count]=1" }), 400);
    const polluting = intent.replace(
      "{",
      '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},',
    );
    const open = v.parse(beginAnswer, await (await ask("begin", polluting)).json()).token;
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    await askJson("abort", { token: open });
  });
});

describe("the relay", () => {
  test.each([
    "first=0&count=1",
    "first=1&count=0",
    "first=2&count=2",
    "first=3&count=1",
    "first=10000&count=10000",
    "first=99999&count=1",
    "first=-1&count=1",
    "first=1e0&count=1",
    "first=1.0&count=1",
    "first=%2b1&count=1",
    "first=1",
    "count=1",
    "",
    // The last one counts, and only it.
    "first=1&count=1&first=3",
  ])("?%s is no run of two parts", async (query) => {
    await expectRefused(relay(token, { query }), 400);
  });

  test.each(["", "x", "../x", `${randomUUID()}%0a`])("upload=%s is no upload", async (upload) => {
    await expectRefused(relay(token, { upload }), 400);
  });

  test.each(["", "1234", "123456", "1".repeat(100_000)])(
    "a relayed body with a length other than its parts' is refused: %#",
    async (body) => {
      await expectRefused(relay(token, { body }), 400);
    },
  );

  const head = () => [
    `PUT /relay?upload=${claims.uploadId}&first=1&count=1 HTTP/1.1`,
    ...["Host: x", `${RELAY_TOKEN_HEADER}: ${token}`, `${USER}: alice`],
  ];

  test.each<[string, readonly string[], string, number]>([
    ["chunked", ["Transfer-Encoding: chunked"], "5\r\n12345\r\n0\r\n\r\n", 411],
    ["no length", [], "", 411],
    ["a second token", ["Content-Length: 5", `${RELAY_TOKEN_HEADER}: x`], "12345", 403],
  ])("%s", async (_what, more, body, status) => {
    await expectRawRefused([...head(), ...more], body, status);
  });
});

describe("requests within requests", () => {
  const smuggled = "POST /uploads/begin HTTP/1.1\r\nHost: x\r\n\r\n";
  const head = ["POST /begin HTTP/1.1", "Content-Type: application/json"];

  test.each<[string, readonly string[], string]>([
    ["two lengths", ["Host: x", "Content-Length: 2", "Content-Length: 60"], `{}${smuggled}`],
    ["a length of two", ["Host: x", "Content-Length: 2, 60"], `{}${smuggled}`],
    [
      "a length and chunks",
      ["Host: x", "Content-Length: 4", "Transfer-Encoding: chunked"],
      `0\r\n\r\n${smuggled}`,
    ],
    ["a negative length", ["Host: x", "Content-Length: -1"], smuggled],
    ["a length with a sign", ["Host: x", "Content-Length: +2"], `{}${smuggled}`],
    ["chunks under another name", ["Host: x", "Transfer-Encoding: xchunked"], `0\r\n\r\n${smuggled}`],
    ["a blank before the colon", ["Host: x", "Transfer-Encoding : chunked"], `0\r\n\r\n${smuggled}`],
    ["a folded header", ["Host: x", "X-A: b", " Transfer-Encoding: chunked"], smuggled],
    ["a bare line feed", ["Host: x\nContent-Length: 2\n"], smuggled],
    ["no Host", [], smuggled],
  ])("%s", async (_what, headers, body) => {
    await expectRawRefused([...head, ...headers], body, 400);
  });
});

test.each([
  [["Host: evil.example/uploads/begin?"]],
  [["Host: evil.example#"]],
  [["Host: evil.example\\x"]],
  [["Host: alice@evil.example"]],
  [["Host: evil.example\tx"]],
  [["Host: "]],
  [["Host: x", "Host: evil.example"]],
])("%j is no host: the app would be shown another URL than was asked for", async (hosts) => {
  const body = JSON.stringify(beginIntent({ size: 1 }));
  const head = (...lines: string[]) => [
    "POST /uploads/begin HTTP/1.1",
    ...["Content-Type: application/json", `Content-Length: ${body.length}`, ...lines],
  ];
  await expectRawRefused(head(...hosts), body, 400);
  // Only the missing host was at fault: with one, the app is asked.
  await expectRawRefused(head("Host: [::1]:8080"), body, 401);
});

describe("what is not there", () => {
  test.each(OPERATIONS)("%s has one method", async (operation) => {
    const own = operation === "relay" || operation === "probe" ? "PUT" : "POST";
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"].filter(
      (each) => each !== own,
    )) {
      const headers = { "x-http-method-override": own, origin: "https://evil.example" };
      await expectRefused(fetch(`${server.url}/${operation}?_method=${own}`, { method, headers }), 405);
    }
  });

  test.each([
    ...[
      "begin/",
      "begin/x",
      "BEGIN",
      "begin%00",
      "%62egin",
      "begin;x",
      "begin.json",
      "begin/..",
      "x%2fbegin",
    ],
    ...["__proto__", "constructor", "toString", "", "..%2f..%2fetc%2fpasswd"],
  ])("/uploads/%s is no operation", async (path) => {
    const head = [`POST /uploads/${path} HTTP/1.1`, "Host: x", "Content-Type: application/json"];
    await expectRawRefused([...head, "Content-Length: 2"], "{}", 404);
  });

  test("a page of another origin is not let in, whatever it asks", async () => {
    const preflight = {
      origin: "https://evil.example",
      "access-control-request-method": "POST",
      "access-control-request-headers": "content-type",
    };
    for (const operation of OPERATIONS)
      await expectRefused(
        fetch(`${server.url}/${operation}`, { method: "OPTIONS", headers: preflight }),
        405,
      );
    const answered = await ask("parts", JSON.stringify({ token, after: 0 }), {
      ...as("alice"),
      origin: "https://evil.example",
    });
    expect(answered.status).toBe(200);
    expectNoCors(answered.headers);
  });
});

describe("an S3 that leads elsewhere", () => {
  test.each([301, 302, 303, 307, 308])(
    "%i: nobody follows, least of all with credentials",
    async (status) => {
      const followed: string[] = [];
      const elsewhere = await listen((req, res) => {
        followed.push(`${req.method} ${req.url}`);
        res.end();
      });
      const location = `${elsewhere.url}/${engine.bucket}/x`;
      const body = `<Error><Code>PermanentRedirect</Code><Endpoint>${new URL(location).host}</Endpoint></Error>`;
      const headers = { location, "x-amz-bucket-region": "eu-evil-1", "content-type": "application/xml" };
      proxy.fault = () => ({ when: "before", answer: { status, headers, body } });
      const calls = [
        () => askJson("begin", beginIntent({ size: 1 })),
        ...later(token)
          .filter(([operation]) => operation !== "sign")
          .map(
            ([operation, request]) =>
              () =>
                askJson(operation, request),
          ),
        () => relay(token),
      ];
      for (const call of calls) {
        const response = await call();
        // The relay answers with the parts that it has stored, which are none, and the fault.
        expect([200, 503]).toContain(response.status);
        expect(response.headers.get("location")).toBeNull();
        expect(await response.text()).not.toContain(elsewhere.url);
      }
      // The relay asks first which parts S3 has.
      expect(proxy.requests).toHaveLength(calls.length + 1);
      expect(followed).toEqual([]);
      await elsewhere.close();
    },
  );
});

test("neither responses nor the log contain a token, a secret or a signature", async () => {
  // S3 quotes what was signed, and by what.
  const quoted = [
    "<StringToSign>AWS4-HMAC-SHA256 X-Amz-Signature=0123abcd</StringToSign>",
    "<SignatureProvided>0123abcd</SignatureProvided><AWSAccessKeyId>test</AWSAccessKeyId>",
    "<CanonicalRequest>x-amz-security-token:SESSION-TOKEN</CanonicalRequest>",
  ].join("");
  const faults: Fault[] = [
    { when: "before", answer: "lost" },
    ...(
      [
        [403, "SignatureDoesNotMatch"],
        [403, "AccessDenied"],
        [400, "ExpiredToken"],
        [500, "InternalError"],
      ] as const
    ).map(([status, code]) => ({
      when: "before" as const,
      answer: { status, body: `<Error><Code>${code}</Code><Message>no</Message>${quoted}</Error>` },
    })),
    { when: "before", answer: { status: 200, body: `<x>${quoted}` } },
  ];
  for (const fault of faults) {
    proxy.fault = () => fault;
    for (const [operation, body] of [["begin", beginIntent({ size: 1 })] as const, ...later(token)])
      if (operation !== "sign") answers.push(await (await askJson(operation, body)).text());
    answers.push(await (await relay(token)).text());
  }
  // All that this file has made it say.
  const text = [...answers, ...log].join("\n");
  expect(answers.length).toBeGreaterThan(500);
  expect(log.length).toBeGreaterThan(500);
  for (const secret of [
    ...[SECRET, "test-secret-access-key", "SESSION-TOKEN", "0123abcd"],
    ...[token, token.split(".")[1] ?? "", token.split(".")[2] ?? "", "X-Amz-Signature", "Signature="],
  ])
    expect(text.includes(secret), secret).toBe(false);
  // Errors inside the app are for its operator alone.
  expect(answers.join("\n")).not.toContain("hunter2");
  expect(log.join("\n")).toContain("hunter2");
});
