/** The handler behind node:http2, with a client of HTTP/2. */
import { once } from "node:events";
import { type ClientHttp2Session, connect, createServer, type OutgoingHttpHeaders } from "node:http2";
import type { AddressInfo } from "node:net";
import * as v from "valibot";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createUploadHandler } from "../../server/index.ts";
import { toNodeListener } from "../../server/node.ts";
import { beginAnswer, completeAnswer, relayAnswer } from "../../src/core/http-api.ts";
import { RELAY_TOKEN_HEADER, relayUrl } from "../../src/core/relay-url.ts";
import { uploadIdOf } from "./relay-client.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { beginIntent, SECRET, someBytes } from "./upload-server.ts";

let engine: S3Engine;
let session: ClientHttp2Session;
let latest: Request | undefined;
const server = createServer();

beforeAll(async () => {
  engine = await startS3();
  const handler = createUploadHandler({
    client: engine.client,
    bucket: engine.bucket,
    secret: SECRET,
    limits: { minPartBytes: 1 },
    relayIdleSeconds: 1,
    authorize(request, { key }) {
      latest = request;
      return { key };
    },
  });
  server.on("request", toNodeListener(handler));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});

afterAll(async () => {
  session.destroy();
  server.close();
  await engine.close();
});

async function ask(path: string, headers: OutgoingHttpHeaders, body: Uint8Array | string) {
  const stream = session.request({ ":path": path, ":method": "POST", ...headers });
  stream.end(body);
  const [answered] = await once(stream, "response");
  let text = "";
  for await (const chunk of stream) text += chunk;
  return { status: answered[":status"], body: JSON.parse(text) as unknown };
}

const post = (operation: string, body: unknown, headers: OutgoingHttpHeaders = {}) =>
  ask(`/uploads/${operation}`, { "content-type": "application/json", ...headers }, JSON.stringify(body));

test("carries an upload from begin through the relay to complete", async () => {
  const bytes = someBytes(300_000);
  const intent = beginIntent({ key: "h2/whole", size: bytes.length, partSize: 100_000 });
  const begun = await post("begin", intent, { cookie: "session=1" });
  expect(begun.status).toBe(200);
  expect(latest?.url).toBe(`http://127.0.0.1:${(server.address() as AddressInfo).port}/uploads/begin`);
  expect(latest?.headers.get("host")).toBe(new URL(latest?.url ?? "").host);
  expect(latest?.headers.get("cookie")).toBe("session=1");
  const { token } = v.parse(beginAnswer, begun.body);
  const relayed = await ask(
    relayUrl("/uploads", { uploadId: uploadIdOf(token), first: 1, count: 3 }, "a-fetch"),
    { ":method": "PUT", [RELAY_TOKEN_HEADER]: token, "content-length": bytes.length },
    bytes,
  );
  expect(relayed.status).toBe(200);
  const { parts } = v.parse(relayAnswer, relayed.body);
  const completed = await post("complete", { token, parts });
  expect(v.parse(completeAnswer, completed.body)).toMatchObject({ key: "h2/whole", size: bytes.length });
});

test("aborts the request's signal when the client resets its stream", async () => {
  const { body } = await post("begin", beginIntent({ key: "h2/gone", size: 10, partSize: 10 }));
  const { token } = v.parse(beginAnswer, body);
  const stream = session.request({
    ":path": relayUrl("/uploads", { uploadId: uploadIdOf(token), first: 1, count: 1 }, "a-fetch"),
    ":method": "PUT",
    [RELAY_TOKEN_HEADER]: token,
    "content-length": 10,
  });
  stream.on("error", () => {}).write("12345");
  await vi.waitFor(() => expect(latest?.method).toBe("PUT"));
  stream.close(8);
  await vi.waitFor(() => expect(latest?.signal.aborted).toBe(true));
});

test("answers a client that stalls, and serves others on the same connection", async () => {
  const { body } = await post("begin", beginIntent({ key: "h2/idle", size: 10, partSize: 10 }));
  const { token } = v.parse(beginAnswer, body);
  const stream = session.request({
    ":path": relayUrl("/uploads", { uploadId: uploadIdOf(token), first: 1, count: 1 }, "a-fetch"),
    ":method": "PUT",
    [RELAY_TOKEN_HEADER]: token,
    "content-length": 10,
  });
  stream.on("error", () => {}).write("12345");
  const [answered] = await once(stream, "response");
  expect(answered[":status"]).toBe(408);
  stream.close();
  expect((await post("parts", { token, after: 0 })).status).toBe(200);
});

test("an authority with a user in it is 400", async () => {
  const stream = session.request({ ":path": "/uploads/begin", ":method": "POST", ":authority": "a@b" });
  stream.end();
  const [answered] = await once(stream, "response");
  expect(answered[":status"]).toBe(400);
  stream.close();
});

test.each(["evil.example/uploads/begin?", "a b"])(
  "Node itself refuses the authority %j",
  async (authority) => {
    latest = undefined;
    const stream = session.request({ ":path": "/uploads/begin", ":method": "POST", ":authority": authority });
    stream.end();
    await expect(once(stream, "response")).rejects.toThrow(/PROTOCOL_ERROR/);
    expect(latest).toBeUndefined();
  },
);

test("a host that is another one than the authority is 400", async () => {
  const { host } = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const headers = { ":path": "/uploads/begin", ":method": "POST", ":authority": host, host: "evil.example" };
  const stream = session.request(headers);
  stream.end();
  const [answered] = await once(stream, "response");
  expect(answered[":status"]).toBe(400);
  stream.close();
});
