import { createHash, randomUUID } from "node:crypto";
import { GetObjectCommand, HeadObjectCommand } from "@aws-sdk/client-s3";
import express from "express";
import * as v from "valibot";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import type { RequestEntry } from "../../demo/store/server.ts";
import { createUploadHandler, type UploadIntent } from "../../server/index.ts";
import { toNodeListener } from "../../server/node.ts";
import { errorAnswer, relayAnswer } from "../../src/core/http-api.ts";
import { RELAY_ENDED_COOKIE, RELAY_TOKEN_HEADER, relayUrl } from "../../src/core/relay-url.ts";
import { listen } from "./listen.ts";
import { putRun, type RelayedAnswer, startPut, startRun, uploadIdOf } from "./relay-client.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { type S3Proxy, startProxy } from "./s3-proxy.ts";
import { startTcpProxy, type TcpProxy } from "./tcp-proxy.ts";
import { cut, SECRET, someBytes, startUploadServer, type UploadServer } from "./upload-server.ts";

let engine: S3Engine;
let server: UploadServer;
/** Faked answers come from here. */
let proxy: S3Proxy;
let faulty: UploadServer;
/** Connections stand still here. */
let tcp: TcpProxy;
/** Waits for 1 s only. */
let impatient: UploadServer;
/** Parts of an odd size, so that no chunk ends where a part does. */
let partSize: number;
let file: Uint8Array;
const log: RequestEntry[] = [];

beforeAll(async () => {
  engine = await startS3((entry) => log.push(entry));
  server = await startUploadServer(engine);
  proxy = await startProxy(engine.endpoint);
  faulty = await startUploadServer(engine, { client: engine.clientAt(proxy.url, 1) });
  tcp = await startTcpProxy(engine.endpoint);
  impatient = await startUploadServer(engine, {
    client: engine.clientAt(tcp.url, 1),
    relayIdleSeconds: 1,
  });
  partSize = Math.max(engine.minPartBytes, 3 * 1024 * 1024) + 1;
  file = someBytes(MOST_PARTS * partSize);
});

afterEach(() => {
  log.length = 0;
  proxy.fault = () => null;
  tcp.release();
  for (const { errors } of [server, faulty, impatient]) errors.length = 0;
});

afterAll(async () => {
  for (const one of [server, faulty, proxy, impatient, tcp]) await one.close();
  await engine.close();
});

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const sent = () => log.filter(({ operation }) => operation === "UploadPart" || operation === "PutObject");

async function storedSha256(key: string): Promise<string> {
  const { Body } = await engine.client.send(new GetObjectCommand({ Bucket: engine.bucket, Key: key }));
  return sha256((await Body?.transformToByteArray()) ?? new Uint8Array());
}

const MOST_PARTS = 5;

/** An upload of `count` parts, the last of which is short. */
async function begun(key: string, count: number) {
  const bytes = file.subarray(0, (count - 1) * partSize + 7);
  const token = await server.begin({ key, size: bytes.length, partSize });
  const from = (first: number, parts: number) =>
    bytes.subarray((first - 1) * partSize, (first - 1 + parts) * partSize);
  return { token, bytes, from };
}

const numbers = (parts: readonly { partNumber?: number }[]) => parts.map(({ partNumber }) => partNumber);

function storedOf({ body }: RelayedAnswer) {
  return numbers(v.parse(relayAnswer, body).parts);
}

function faultOf({ status, body }: RelayedAnswer) {
  const { kind, code } = v.parse(errorAnswer, body).error;
  return { status, kind, code };
}

describe("what arrives", () => {
  test("part ranges become parts, byte for byte, and the last one is short", async () => {
    const key = "relay/whole";
    const { token, bytes, from } = await begun(key, 5);
    const last = await putRun(server.url, token, 4, 2, from(4, 2));
    const first = await putRun(server.url, token, 1, 3, from(1, 3));
    expect([first.status, last.status]).toEqual([200, 200]);
    expect(first.headers["cache-control"]).toBe("no-store");
    const parts = [first, last].flatMap(
      ({ body }) => v.parse(v.strictObject(relayAnswer.entries), body).parts,
    );
    expect(numbers(parts)).toEqual([1, 2, 3, 4, 5]);
    const page = await server.parts(token);
    expect(page.parts.map(({ size: _, ...receipt }) => receipt)).toEqual(parts);
    expect(page.parts.map(({ size }) => size)).toEqual([partSize, partSize, partSize, partSize, 7]);
    expect(await server.complete(token, parts)).toMatchObject({ key, size: bytes.length });
    expect(await storedSha256(key)).toBe(sha256(bytes));
    // Each went once, with its length.
    expect(sent().map(({ partNumber, status }) => [partNumber, status])).toEqual(
      [4, 5, 1, 2, 3].map((partNumber) => [partNumber, 200]),
    );
    expect(server.errors).toEqual([]);
  });

  test("parts that a browser has sent by itself go with those that came here", async () => {
    const { token, bytes, from } = await begun("relay/mixed", 3);
    const own = await server.put(token, cut(bytes, partSize).slice(0, 1));
    const { body } = await putRun(server.url, token, 2, 2, from(2, 2));
    expect(await server.complete(token, [...own, ...v.parse(relayAnswer, body).parts])).toMatchObject({
      size: bytes.length,
    });
    expect(await storedSha256("relay/mixed")).toBe(sha256(bytes));
  });

  test("a single PUT makes the object, with its type and its upload's id", async () => {
    const bytes = someBytes(300_001);
    const key = "relay/single";
    const uploadId = randomUUID();
    const intent = { uploadId, key, size: bytes.length, partSize: bytes.length, type: "image/jpeg" };
    const token = await server.begin({ ...intent, method: "single" });
    const { status, body } = await putRun(server.url, token, 1, 1, bytes);
    expect(status).toBe(200);
    expect(await server.complete(token, v.parse(relayAnswer, body).parts)).toMatchObject({ key });
    const head = await engine.client.send(new HeadObjectCommand({ Bucket: engine.bucket, Key: key }));
    expect(head).toMatchObject({ ContentType: "image/jpeg", Metadata: { "backhaul-upload": uploadId } });
    expect(await storedSha256(key)).toBe(sha256(bytes));
  });

  test.each(["single", "multipart"] as const)("an empty file becomes an object, %s", async (method) => {
    const token = await server.begin({
      key: `relay/empty-${method}`,
      size: 0,
      partSize: method === "single" ? 0 : 1,
      method,
    });
    const { status, body } = await putRun(server.url, token, 1, 1, new Uint8Array());
    expect(status).toBe(200);
    expect(await server.complete(token, v.parse(relayAnswer, body).parts)).toMatchObject({ size: 0 });
  });

  test("a Request that no socket stands behind will do", async () => {
    const { token, bytes, from } = await begun("relay/web", 2);
    const short = await begun("relay/web-short", 2);
    const handler = createUploadHandler({
      client: engine.client,
      bucket: engine.bucket,
      secret: SECRET,
      authorize: (_request, { key }) => ({ key }),
    });
    const put = (token: string, body: Uint8Array) =>
      handler(
        new Request(
          relayUrl(
            "https://app.example/api/",
            { uploadId: uploadIdOf(token), first: 1, count: 2 },
            "a-fetch",
          ),
          {
            method: "PUT",
            headers: { [RELAY_TOKEN_HEADER]: token, "content-length": String(bytes.length) },
            body: new Blob([Buffer.from(body)]).stream(),
            duplex: "half",
          },
        ),
      );
    const response = await put(token, from(1, 2));
    expect([response.status, v.parse(relayAnswer, await response.json()).parts.length]).toEqual([200, 2]);
    const cutShort = await put(short.token, from(1, 1));
    expect([cutShort.status, numbers(v.parse(relayAnswer, await cutShort.json()).parts)]).toEqual([502, [1]]);
  });
});

describe("refused before a byte is read", () => {
  /** Sends the head only, so that whatever is answered was answered without the body. */
  async function refused(
    base: string,
    path: string,
    headers: Record<string, string | number>,
    method?: string,
  ) {
    const { request, answer } = startPut(`${base}/${path}`, headers, method);
    const refusal = await answer;
    request.destroy();
    expect(refusal.headers["cache-control"]).toBe("no-store");
    expect(sent()).toEqual([]);
    return { ...faultOf(refusal), headers: refusal.headers };
  }

  test.each([
    ["first=0", { first: "0" }, {}, 400],
    ["no first", { first: "" }, {}, 400],
    ["a first that is no number", { first: "1e0" }, {}, 400],
    ["count=0", { count: "0" }, {}, 400],
    ["a count too large", { count: "4" }, {}, 400],
    ["a first too large", { first: "4", count: "1" }, {}, 400],
    ["no upload", { upload: "" }, {}, 400],
    ["a length too small", {}, { less: 1 }, 400],
    ["a length too large", {}, { less: -1 }, 400],
    ["a length of nothing", {}, { less: Number.POSITIVE_INFINITY }, 400],
    ["no length", {}, { "transfer-encoding": "chunked" }, 411],
    ["a compressed body", {}, { "content-encoding": "gzip" }, 415],
    ["no token", {}, { [RELAY_TOKEN_HEADER]: "" }, 400],
  ])("%s", async (_what, query, { less = 0, ...headers }: Record<string, string | number>, status) => {
    const { token, bytes } = await begun("relay/refused", 3);
    const search = new URLSearchParams({ upload: uploadIdOf(token), first: "1", count: "3", ...query });
    const length =
      "transfer-encoding" in headers ? {} : { "content-length": Math.max(0, bytes.length - Number(less)) };
    expect(
      await refused(server.url, `relay?${search}`, { [RELAY_TOKEN_HEADER]: token, ...length, ...headers }),
    ).toMatchObject({ status, kind: "permanent", code: "REQUEST_INVALID" });
  });

  const relayOf = (uploadId: string, first = 1, count = 3) =>
    relayUrl("", { uploadId, first, count }, "a-fetch").slice(1);

  test("a part range of a background fetch that was taken back: the rest of its bytes need not come", async () => {
    const { token, bytes } = await begun("relay/ended", 3);
    const head = { [RELAY_TOKEN_HEADER]: token, "content-length": bytes.length };
    const cookie = `session=1; ${RELAY_ENDED_COOKIE}=another.a-fetch; theme=dark`;
    const answer = await refused(server.url, relayOf(uploadIdOf(token)), { ...head, cookie });
    expect(answer).toMatchObject({ status: 409, headers: { connection: "close" } });
    const other = relayUrl(server.url, { uploadId: uploadIdOf(token), first: 1, count: 3 }, "b-fetch");
    const run = startPut(other, { ...head, cookie });
    run.request.end(bytes);
    expect((await run.answer).status).toBe(200);
  });

  test("a token that is none, and one of another upload", async () => {
    const { token, bytes } = await begun("relay/refused", 3);
    const other = await begun("relay/other", 3);
    const uploadId = uploadIdOf(token);
    for (const wrong of [`${token}x`, other.token, "v1.e30.e30"])
      expect(
        await refused(server.url, relayOf(uploadId), {
          [RELAY_TOKEN_HEADER]: wrong,
          "content-length": bytes.length,
        }),
      ).toMatchObject({ status: 403, kind: "permanent", code: "TOKEN_INVALID" });
    expect(server.errors).toMatchObject(Array(3).fill({ context: { operation: "relay", status: 403 } }));
  });

  test.each(["GET", "POST", "DELETE"])("%s is 405", async (method) => {
    const { token } = await begun("relay/refused", 3);
    expect(
      await refused(server.url, relayOf(uploadIdOf(token)), { [RELAY_TOKEN_HEADER]: token }, method),
    ).toMatchObject({ status: 405, code: "REQUEST_INVALID", headers: { allow: "PUT" } });
  });

  test("a user who is not allowed to upload", async () => {
    const intents: UploadIntent[] = [];
    let status = 401;
    const strict = await startUploadServer(engine, {
      authorize(_request, intent) {
        intents.push(intent);
        return intent.operation === "relay"
          ? new Response(null, { status })
          : { key: intent.key, owner: "ann" };
      },
    });
    const { bytes } = await begun("relay/refused", 3);
    const token = await strict.begin({ key: "relay/refused", size: bytes.length, partSize });
    const headers = { [RELAY_TOKEN_HEADER]: token, "content-length": bytes.length };
    const path = relayOf(uploadIdOf(token));
    expect(await refused(strict.url, path, headers)).toMatchObject({ status: 401, kind: "unauthorized" });
    status = 403;
    expect(await refused(strict.url, path, headers)).toMatchObject({ status: 403, code: "FORBIDDEN" });
    expect(intents.at(-1)).toEqual({
      operation: "relay",
      key: "relay/refused",
      owner: "ann",
      size: bytes.length,
    });
    await strict.close();
  });

  test("a body that was read on its way here", async () => {
    const { token, from } = await begun("relay/refused", 3);
    const app = express();
    app.use(express.raw({ type: "*/*", limit: "100mb" }));
    const options = { client: engine.client, bucket: engine.bucket, secret: SECRET };
    app.use(
      "/parsed",
      toNodeListener(createUploadHandler({ ...options, authorize: (_, { key }) => ({ key }) })),
    );
    const parsed = await listen(app);
    const body = from(3, 1);
    const headers = { "content-type": "image/jpeg" };
    const run = startRun(`${parsed.url}/parsed`, token, { first: 3, count: 1, bytes: body.length, headers });
    run.request.end(body);
    expect(faultOf(await run.answer).status).toBe(411);
    await parsed.close();

    const greedy = await startUploadServer(engine, {
      async authorize(request, { key }) {
        await request.arrayBuffer();
        return { key };
      },
    });
    expect(faultOf(await putRun(greedy.url, token, 3, 1, from(3, 1)))).toMatchObject({ status: 503 });
    expect(greedy.errors).toMatchObject([{ error: { cause: { message: /read before/ } } }]);
    await greedy.close();
    expect(sent()).toEqual([]);
  });
});

describe("a client that stops", () => {
  test("half-way: finished parts stay, the broken one is not stored, and the rest can follow", async () => {
    const key = "relay/half";
    const { token, bytes, from } = await begun(key, 5);
    const { request } = startRun(impatient.url, token, { first: 1, count: 5, bytes: bytes.length });
    request.on("error", () => {}).write(bytes.subarray(0, 2 * partSize + 100_000));
    await vi.waitFor(() => expect(tcp.open).toBe(1));
    await vi.waitFor(() => expect(numbers(sent())).toEqual([1, 2]), { timeout: 10_000 });
    request.destroy();
    await vi.waitFor(() => expect(numbers(sent())).toEqual([1, 2, 3]), { timeout: 10_000 });
    expect(sent().map(({ stored }) => stored)).toEqual([true, true, false]);
    await vi.waitFor(() => expect(tcp.open).toBe(0));
    expect(impatient.errors).toMatchObject([{ error: { kind: "network" }, context: { operation: "relay" } }]);
    expect(numbers((await server.parts(token)).parts)).toEqual([1, 2]);

    expect(storedOf(await putRun(server.url, token, 3, 3, from(3, 3)))).toEqual([3, 4, 5]);
    const { parts } = await server.parts(token);
    expect(
      await server.complete(
        token,
        parts.map(({ size: _, ...receipt }) => receipt),
      ),
    ).toMatchObject({
      key,
    });
    expect(await storedSha256(key)).toBe(sha256(bytes));
  });

  test("and stays: it is sent away, with what is stored", async () => {
    const { token, bytes } = await begun("relay/idle", 3);
    const { request, answer } = startRun(impatient.url, token, { first: 1, count: 3, bytes: bytes.length });
    const closed = new Promise((resolve) => request.once("close", resolve));
    request.write(bytes.subarray(0, partSize + 1_000));
    const idle = await answer;
    expect(faultOf(idle)).toEqual({ status: 408, kind: "network", code: "NETWORK" });
    expect(storedOf(idle)).toEqual([1]);
    expect(idle.headers.connection).toBe("close");
    request.destroy();
    await closed;
    await vi.waitFor(() => expect(tcp.open).toBe(0));
    expect(numbers((await server.parts(token)).parts)).toEqual([1]);
  });
});

describe("S3 that does not take a part", () => {
  const isPart = (partNumber: number) => (request: string) =>
    request.startsWith("PUT ") && request.includes(`partNumber=${partNumber}&`);
  const s3Error = (code: string) =>
    `<?xml version="1.0"?><Error><Code>${code}</Code><Message>No.</Message></Error>`;

  test.each([
    ["transient", { status: 503, headers: { "retry-after": "7" }, body: s3Error("SlowDown") }],
    ["network", "lost"],
  ] as const)("%s: the others are stored, and named", async (kind, answer) => {
    const key = `relay/${kind}`;
    const { token, bytes, from } = await begun(key, 4);
    proxy.fault = (request) => (isPart(2)(request) ? { when: "before", answer } : null);
    const broken = await putRun(faulty.url, token, 1, 4, bytes);
    expect(faultOf(broken)).toEqual({ status: 200, kind, code: "SERVER_ERROR" });
    expect(storedOf(broken)).toEqual([1, 3, 4]);
    expect(broken.headers["retry-after"]).toBe(kind === "transient" ? "7" : undefined);
    expect(faulty.errors).toMatchObject([{ error: { kind }, context: { key, status: 200 } }]);

    proxy.fault = () => null;
    expect(storedOf(await putRun(faulty.url, token, 2, 1, from(2, 1)))).toEqual([2]);
    const { parts } = await server.parts(token);
    await server.complete(
      token,
      parts.map(({ size: _, ...receipt }) => receipt),
    );
    expect(await storedSha256(key)).toBe(sha256(bytes));
  });

  test("several: the operator is told of each", async () => {
    const { token, bytes } = await begun("relay/several", 4);
    proxy.fault = (request) =>
      isPart(2)(request) || isPart(4)(request) ? { when: "before", answer: { status: 500 } } : null;
    expect(storedOf(await putRun(faulty.url, token, 1, 4, bytes))).toEqual([1, 3]);
    expect(faulty.errors.map(({ context }) => context.status)).toEqual([null, 200]);
  });

  test("for it was damaged on its way there: it is to be sent again, and the others are stored", async () => {
    const { token, bytes } = await begun("relay/damaged", 3);
    proxy.fault = (request) =>
      isPart(2)(request) ? { when: "before", answer: { status: 400, body: s3Error("BadDigest") } } : null;
    const broken = await putRun(faulty.url, token, 1, 3, bytes);
    expect(faultOf(broken)).toEqual({ status: 200, kind: "transient", code: "SERVER_ERROR" });
    expect(storedOf(broken)).toEqual([1, 3]);
  });

  test.each([
    ["gone", 404, "NoSuchUpload", { status: 410, kind: "gone", code: "UPLOAD_GONE" }],
    ["permanent", 403, "AccessDenied", { status: 403, kind: "permanent", code: "FORBIDDEN" }],
  ] as const)("%s: answered while the client still sends", async (_kind, status, code, expected) => {
    const { token, bytes } = await begun("relay/hopeless", 4);
    proxy.fault = (request) =>
      isPart(2)(request) ? { when: "before", answer: { status, body: s3Error(code) } } : null;
    const run = startRun(faulty.url, token, { first: 1, count: 4, bytes: bytes.length });
    run.request.write(bytes.subarray(0, 2 * partSize + 10));
    const broken = await run.answer;
    expect(faultOf(broken)).toEqual(expected);
    expect(storedOf(broken)).toEqual([1]);
    // The rest may follow, and goes nowhere.
    run.request.end(bytes.subarray(2 * partSize + 10));
    await new Promise((resolve) => run.request.once("close", resolve));
    expect(numbers(sent())).toEqual([1]);
  });

  test("an upload that was aborted is gone, by its first part", async () => {
    const { token, bytes } = await begun("relay/aborted", 4);
    await server.abort(token);
    const gone = await putRun(server.url, token, 1, 4, bytes);
    expect(faultOf(gone)).toEqual({ status: 410, kind: "gone", code: "UPLOAD_GONE" });
    expect(storedOf(gone)).toEqual([]);
    expect(sent().map(({ partNumber, status }) => [partNumber, status])).toEqual([[1, 404]]);
  });

  test("a connection that stands still is given up, and the next one is tried", async () => {
    const { token, bytes } = await begun("relay/stalled", 2);
    tcp.limit = 200_000;
    const run = startRun(impatient.url, token, { first: 1, count: 2, bytes: bytes.length });
    run.request.end(bytes);
    await vi.waitFor(() => expect(tcp.open).toBe(1));
    tcp.limit = Number.POSITIVE_INFINITY;
    const broken = await run.answer;
    expect(faultOf(broken)).toEqual({ status: 200, kind: "network", code: "SERVER_ERROR" });
    expect(storedOf(broken)).toEqual([2]);
    tcp.release();
    // One may be kept for the next request.
    await vi.waitFor(() => expect(tcp.open).toBeLessThanOrEqual(1));
  });
});
