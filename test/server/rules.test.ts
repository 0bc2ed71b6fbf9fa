import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createBeginCounter } from "../../server/begin-counter.ts";
import { createUploadHandler, type UploadRules } from "../../server/index.ts";
import type { BeginIntent } from "../../src/core/storage.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { type S3Proxy, startProxy } from "./s3-proxy.ts";
import { beginIntent, SECRET, startUploadServer, type UploadServer } from "./upload-server.ts";

let engine: S3Engine;
let server: UploadServer;
/** Sees what reaches S3. */
let proxy: S3Proxy;

const RULES: UploadRules = {
  maxBytes: 100,
  types: ["image/*", "application/PDF", "application/octet-stream"],
  keys: /alice\/[a-z]+|shared/g,
};

beforeAll(async () => {
  engine = await startS3();
  proxy = await startProxy(engine.endpoint);
  server = await startUploadServer(engine, { client: engine.clientAt(proxy.url), rules: RULES });
});

beforeEach(() => {
  proxy.requests.length = 0;
});

afterAll(async () => {
  await server.close();
  await proxy.close();
  await engine.close();
});

const allowed: Partial<BeginIntent> = { key: "alice/cat", size: 100, partSize: 100, type: "image/png" };

describe.each(["single", "multipart"] as const)("%s", (method) => {
  test.each<Partial<BeginIntent>>([
    {},
    { size: 0, partSize: method === "single" ? 0 : 1 },
    { type: "IMAGE/PNG; charset=utf-8" },
    { type: "application/pdf" },
    { type: "" },
    { key: "shared" },
  ])("%j is taken, whenever it comes", async (intent) => {
    for (let time = 0; time < 2; time++) {
      const token = await server.begin({ ...allowed, ...intent, method });
      await server.abort(token);
    }
  });

  test.each([
    [{ size: 101, partSize: 101 }, 413, "FILE_TOO_LARGE"],
    [{ type: "text/html" }, 415, "FILE_TYPE_REFUSED"],
    [{ type: "application/pdfx" }, 415, "FILE_TYPE_REFUSED"],
    [{ type: "imagex/png" }, 415, "FILE_TYPE_REFUSED"],
    [{ key: "bob/cat" }, 403, "FORBIDDEN"],
    [{ key: "alice/CAT" }, 403, "FORBIDDEN"],
    [{ key: "x/alice/cat" }, 403, "FORBIDDEN"],
    [{ key: "alice/cat/x" }, 403, "FORBIDDEN"],
    [{ key: "shared/x" }, 403, "FORBIDDEN"],
    [{ key: "xshared" }, 403, "FORBIDDEN"],
  ] as const)("%j is refused before S3 is asked", async (intent, status, code) => {
    const refusal = await server.refusal("begin", beginIntent({ ...allowed, ...intent, method }));
    expect(refusal).toMatchObject({ status, kind: "permanent", code });
    expect(proxy.requests).toEqual([]);
  });
});

test("the key that `authorize` decided on is checked, and the storage's limits apply as well", async () => {
  const moved = await startUploadServer(engine, {
    rules: { keys: /alice\/.*/, maxBytes: 1_000 },
    limits: { minPartBytes: 1, maxObjectBytes: 500 },
    authorize: (_request, { operation, key }) => ({ key: operation === "begin" ? `alice/${key}` : key }),
  });
  await moved.abort(await moved.begin({ key: "cat", size: 500, partSize: 500 }));
  expect(await moved.refusal("begin", beginIntent({ size: 501, partSize: 501 }))).toMatchObject({
    code: "FILE_TOO_LARGE",
  });
  await moved.close();
});

test("whom authorize refuses learns nothing of the rules", async () => {
  const closed = await startUploadServer(engine, {
    rules: RULES,
    authorize: () => new Response(null, { status: 401 }),
  });
  expect(await closed.refusal("begin", beginIntent({ size: 101 }))).toMatchObject({ status: 401 });
  await closed.close();
});

test("an owner who begins too many uploads in a minute waits, and other owners don't", async () => {
  const busy = await startUploadServer(engine, {
    client: engine.clientAt(proxy.url),
    rules: { beginsPerMinute: 2, maxBytes: 100 },
    authorize: (request, { key }) => {
      const owner = request.headers.get("x-user");
      return owner ? { key, owner } : { key };
    },
  });
  const as = (user: string) => ({
    headers: { "content-type": "application/json", ...(user && { "x-user": user }) },
  });
  for (const user of ["alice", "bob", ""]) {
    // Uploads that are refused for another reason don't count.
    await busy.refusal("begin", beginIntent({ ...allowed, size: 101, partSize: 101 }), as(user));
    const tokens = [await busy.begin(allowed, as(user)), await busy.begin(allowed, as(user))];
    proxy.requests.length = 0;
    const refusal = await busy.refusal("begin", beginIntent(allowed), as(user));
    expect(refusal).toMatchObject({ status: 429, kind: "transient", code: "RATE_LIMITED" });
    expect(Number(refusal.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(Number(refusal.headers.get("retry-after"))).toBeLessThanOrEqual(60);
    expect(proxy.requests).toEqual([]);
    // Uploads that have begun go on.
    for (const token of tokens) await busy.post("abort", { token }, { ...as(user) });
  }
  await busy.close();
});

test("minutes begin with the first upload, and end", () => {
  const count = createBeginCounter(2);
  count("alice", 1_000);
  count("alice", 60_999);
  expect(() => count("alice", 60_999)).toThrow(expect.objectContaining({ retryAfterMs: 1 }));
  for (let minute = 0; minute < 3; minute++) {
    const start = 61_000 + minute * 60_000;
    count("alice", start);
    count("alice", start + 1);
    expect(() => count("alice", start + 2)).toThrow(expect.objectContaining({ retryAfterMs: 59_998 }));
    count(null, start);
    count("", start);
  }
});

describe("a type", () => {
  test.each([
    "image/png,text/html",
    "image/png;a=b,text/html",
    'image/png;a="b,text/html',
    "image/png/../text/html",
    "image",
    "/png",
    "image/",
    "image /png",
    "image/png text/html",
    "image/png\r\nx-amz-acl: public-read",
    "image/png\u0000",
    "imåge/png",
  ])("%j could be taken for another, and is refused", async (type) => {
    const refusal = await server.refusal("begin", beginIntent({ ...allowed, type }));
    expect(refusal).toMatchObject({ status: 400, code: "REQUEST_INVALID" });
    expect(proxy.requests).toEqual([]);
  });

  test("as recorders write it is taken", async () => {
    const open = await startUploadServer(engine, { rules: { types: ["video/webm"] } });
    await open.abort(await open.begin({ ...allowed, type: "video/webm;codecs=vp8,opus" }));
    await open.close();
  });
});

test("invalid rules are refused at once", () => {
  for (const rules of [
    { maxBytes: -1 },
    { maxBytes: Number.NaN },
    { maxBytes: Number.POSITIVE_INFINITY },
    { types: ["image"] },
    { types: ["*"] },
    { types: ["*/*"] },
    { types: ["image/p*"] },
    { types: ["image/png; q=1"] },
    { keys: "alice/" as unknown as RegExp },
    { beginsPerMinute: 0 },
    { beginsPerMinute: 1.5 },
  ])
    expect(() =>
      createUploadHandler({
        client: engine.client,
        bucket: engine.bucket,
        secret: SECRET,
        rules,
        authorize: (_request, { key }) => ({ key }),
      }),
    ).toThrow(TypeError);
});
