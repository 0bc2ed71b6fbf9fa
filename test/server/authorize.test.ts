import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { Authorize, UploadIntent } from "../../server/index.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { beginIntent, someBytes, startUploadServer, toSign, type UploadServer } from "./upload-server.ts";

let engine: S3Engine;
let server: UploadServer;
let authorize: Authorize;
let intents: UploadIntent[];

beforeAll(async () => {
  engine = await startS3();
  server = await startUploadServer(engine, {
    authorize(request, intent) {
      intents.push(intent);
      return authorize(request, intent);
    },
  });
});

beforeEach(() => {
  intents = [];
  authorize = (_request, { key }) => ({ key, owner: "alice" });
});

afterAll(async () => {
  await server.close();
  await engine.close();
});

/** A body for each operation but begin, as far as it gets before `authorize` has its say. */
const later = (token: string) =>
  [
    ["sign", { token, parts: toSign([1]) }],
    ["parts", { token, after: 0 }],
    ["complete", { token, parts: [{ partNumber: 1, etag: "x" }] }],
    ["abort", { token }],
  ] as const;

test("`authorize` is asked on every request, with the operation that the request asks for", async () => {
  authorize = (_request, intent) => ({
    key: intent.operation === "begin" ? "alice/a.txt" : intent.key,
    owner: "alice",
  });
  const answer = await server.post(
    "begin",
    beginIntent({ key: "a.txt", size: 4, partSize: 4, type: "text/plain" }),
  );
  expect(await answer.clone().json()).toMatchObject({ key: "alice/a.txt" });
  const { token } = (await answer.json()) as { token: string };
  const receipts = await server.put(token, [[1, someBytes(4)]]);
  await server.parts(token);
  expect(await server.complete(token, receipts)).toMatchObject({ key: "alice/a.txt" });
  await server.abort(token);
  const known = { key: "alice/a.txt", owner: "alice", size: 4 };
  expect(intents).toEqual([
    { operation: "begin", key: "a.txt", size: 4, type: "text/plain", name: "a.bin" },
    { operation: "sign", ...known },
    { operation: "parts", ...known },
    { operation: "complete", ...known },
    { operation: "abort", ...known },
  ]);
});

test("`authorize` sees the request's headers and URL; the body has been read", async () => {
  let seen: Request | undefined;
  authorize = (request, { key }) => {
    seen = request;
    return { key };
  };
  const headers = { "content-type": "application/json", cookie: "session=1" };
  await server.begin({ key: "seen", size: 1 }, { headers });
  expect(seen?.headers.get("cookie")).toBe("session=1");
  expect(seen?.url).toBe(`${server.url}/begin`);
  expect(seen?.bodyUsed).toBe(true);
});

test.each([
  [new Response("sign in", { status: 401 }), 401, "unauthorized", "UNAUTHORIZED"],
  [new Response("no", { status: 403 }), 403, "permanent", "FORBIDDEN"],
  [Response.redirect("https://example.com/login", 302), 401, "unauthorized", "UNAUTHORIZED"],
  [new Response(null, { status: 204 }), 403, "permanent", "FORBIDDEN"],
  [new Response("", { status: 413 }), 413, "permanent", "FILE_TOO_LARGE"],
  [new Response("", { status: 415 }), 415, "permanent", "FILE_TYPE_REFUSED"],
  [new Response("", { status: 429, headers: { "retry-after": "9" } }), 429, "transient", "RATE_LIMITED"],
  [new Response("", { status: 500 }), 503, "transient", "SERVER_ERROR"],
] as const)("its refusal is passed on: %#", async (response, status, kind, code) => {
  const token = await server.begin({ key: "refused", size: 1 });
  authorize = () => response;
  for (const [operation, body] of [["begin", beginIntent()] as const, ...later(token)]) {
    const refusal = await server.refusal(operation, body);
    expect(refusal).toMatchObject({ status, kind, code });
    expect(refusal.headers.get("retry-after")).toBe(response.headers.get("retry-after"));
  }
});

test.each([
  // Its own user may come back: the upload waits.
  ["another owner", "unauthorized", { key: "mine", owner: "bob" }],
  ["no owner", "unauthorized", { key: "mine" }],
  ["another key", "permanent", { key: "yours", owner: "alice" }],
])("%s than the token's is refused: %s", async (_what, kind, permit) => {
  const token = await server.begin({ key: "mine", size: 1 });
  authorize = () => permit;
  for (const [operation, body] of later(token))
    expect(await server.refusal(operation, body)).toMatchObject({ status: 403, kind, code: "FORBIDDEN" });
  expect(await engine.openUploads("mine")).toHaveLength(1);
  authorize = (_request, { key }) => ({ key, owner: "alice" });
  await server.abort(token);
});

test("an owner who comes later does not take over what is nobody's", async () => {
  authorize = (_request, { key }) => ({ key });
  const token = await server.begin({ key: "nobody", size: 1 });
  authorize = (_request, { key }) => ({ key, owner: "bob" });
  expect(await server.refusal("parts", { token, after: 0 })).toMatchObject({ code: "FORBIDDEN" });
});

test("an `authorize` that throws allows nothing, and the client does not learn why", async () => {
  server.errors.length = 0;
  authorize = () => {
    throw new Error("the session store is down");
  };
  const refusal = await server.refusal("begin", beginIntent({ key: "failed" }));
  expect(refusal).toMatchObject({ status: 503, kind: "transient", code: "SERVER_ERROR" });
  expect(refusal.message).not.toContain("session store");
  expect(server.errors).toMatchObject([
    { error: { cause: { message: "the session store is down" } }, context: { key: "failed" } },
  ]);
  authorize = () => undefined as never;
  expect(await server.refusal("begin", beginIntent())).toMatchObject({ status: 503 });
});

test("a key or an owner that is not usable is not used", async () => {
  authorize = () => ({ key: "../etc" });
  expect(await server.refusal("begin", beginIntent())).toMatchObject({ code: "KEY_INVALID" });
  authorize = (_request, { key }) => ({ key, owner: "x".repeat(257) });
  expect(await server.refusal("begin", beginIntent({ key: "long" }))).toMatchObject({ status: 503 });
  for (const wrong of [{ owner: 42 }, { key: 42 }, { key: undefined }]) {
    authorize = (_request, { key }) => ({ key, ...wrong }) as never;
    expect(await server.refusal("begin", beginIntent({ key: "long" }))).toMatchObject({ status: 503 });
  }
  expect(await engine.openUploads("long")).toEqual([]);
});

test("the longest key and owner still fit into a token", async () => {
  const owner = "\u0001".repeat(256);
  authorize = (_request, { key }) => ({ key, owner });
  const token = await server.begin({ key: '"'.repeat(1_024), size: 1 });
  expect(token.length).toBeLessThan(8_192 - 1_024);
  await server.abort(token);
});
