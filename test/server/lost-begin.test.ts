import { AbortMultipartUploadCommand, CreateMultipartUploadCommand } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { type S3Proxy, startProxy } from "./s3-proxy.ts";
import { startUploadServer, type UploadServer } from "./upload-server.ts";

let engine: S3Engine;
let proxy: S3Proxy;
let server: UploadServer;
/** The request that the server has last been asked to allow. */
let latest: Request | null = null;

beforeAll(async () => {
  engine = await startS3();
  proxy = await startProxy(engine.endpoint);
  server = await startUploadServer(engine, {
    client: engine.clientAt(proxy.url),
    authorize(request, { key }) {
      latest = request;
      return { key };
    },
  });
});

afterEach(() => {
  proxy.fault = () => null;
  proxy.requests.length = 0;
  server.errors.length = 0;
});

afterAll(async () => {
  await server.close();
  await proxy.close();
  await engine.close();
});

const isCreate = (request: string) => /^POST .*\?uploads/.test(request);

test("a client that goes while S3 opens the upload leaves none open", async () => {
  const key = "left";
  const client = new AbortController();
  let release = () => {};
  const opened = vi.fn();
  proxy.fault = async (request) => {
    if (isCreate(request)) {
      opened();
      await new Promise<void>((resolve) => {
        release = resolve;
      });
    }
    return null;
  };
  const begun = server.begin({ key, size: 10, partSize: 10 }, { signal: client.signal });
  await vi.waitFor(() => expect(opened).toHaveBeenCalled());
  client.abort();
  await expect(begun).rejects.toThrow(/abort/i);
  // Only then may S3 answer.
  await vi.waitFor(() => expect(latest?.signal.aborted).toBe(true));
  release();
  await vi.waitFor(() =>
    expect(proxy.requests.filter((request) => request.startsWith("DELETE"))).toHaveLength(1),
  );
  await vi.waitFor(() => expect(server.errors).toHaveLength(1));
  expect(await engine.openUploads(key)).toEqual([]);
  expect(server.errors[0]?.context).toMatchObject({ operation: "begin", key });
});

test("the try after a lost answer leaves only its own upload open", async () => {
  const key = "retried";
  await server.begin({ key, size: 10, partSize: 10 });
  const [lost] = await engine.openUploads(key);
  const token = await server.begin({ key, size: 10, partSize: 10, triedForMs: 2_000 });
  const open = await engine.openUploads(key);
  expect(open).toHaveLength(1);
  expect(open).not.toEqual([lost]);
  await server.put(token, [[1, new Uint8Array(10)]]);
});

test("an upload that has parts, or another key, stays open", async () => {
  const busy = await server.begin({ key: "mine", size: 10, partSize: 10 });
  await server.put(busy, [[1, new Uint8Array(10)]]);
  await server.begin({ key: "mine too", size: 10, partSize: 10 });
  const before = [...(await engine.openUploads("mine")), ...(await engine.openUploads("mine too"))];
  await server.begin({ key: "mine", size: 10, partSize: 10, triedForMs: 1_000 });
  const after = [...(await engine.openUploads("mine")), ...(await engine.openUploads("mine too"))];
  expect(after).toHaveLength(3);
  expect(after).toEqual(expect.arrayContaining(before));
});

test("an upload that was opened before the first try stays open", async () => {
  const key = "old";
  await server.begin({ key, size: 10, partSize: 10 });
  const [old] = await engine.openUploads(key);
  const { now } = Date;
  const clock = vi.spyOn(Date, "now").mockImplementation(() => now() + 120_000);
  try {
    await server.begin({ key, size: 10, partSize: 10, triedForMs: 1_000 });
  } finally {
    clock.mockRestore();
  }
  expect(await engine.openUploads(key)).toContain(old);
});

test("an answer that is lost between S3 and the server leaves one upload open", async () => {
  const key = "inner";
  let cuts = 1;
  proxy.fault = (request) => (isCreate(request) && cuts-- > 0 ? { when: "after", answer: "lost" } : null);
  const token = await server.begin({ key, size: 10, partSize: 10 });
  expect(proxy.requests.filter(isCreate)).toHaveLength(2);
  expect(await engine.openUploads(key)).toHaveLength(1);
  await server.put(token, [[1, new Uint8Array(10)]]);
});

test("a key with very many open uploads costs S3 a bounded number of requests", async () => {
  const key = "many";
  const { client, bucket } = engine;
  for (let at = 0; at < 1_005; at += 67)
    await Promise.all(
      Array.from({ length: 67 }, () =>
        client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: key })),
      ),
    );
  await server.begin({ key, size: 10, partSize: 10, triedForMs: Number.MAX_SAFE_INTEGER });
  const asked = (pattern: RegExp) => proxy.requests.filter((request) => pattern.test(request)).length;
  expect(asked(/key-marker/)).toBe(1);
  expect(asked(/^DELETE /)).toBe(8);
  // Two pages, eight looks, eight aborts, and the upload itself.
  expect(proxy.requests).toHaveLength(19);
  expect(server.errors).toMatchObject([{ error: { kind: "transient" }, context: { key, status: null } }]);
}, 120_000);

test("a lost try is found among others of its key that have parts", async () => {
  const key = "among others";
  for (let index = 0; index < 3; index++) {
    const busy = await server.begin({ key, size: 10, partSize: 10 });
    await server.put(busy, [[1, new Uint8Array(10)]]);
  }
  await server.begin({ key, size: 10, partSize: 10 });
  await server.begin({ key, size: 10, partSize: 10, triedForMs: 2_000 });
  expect(await engine.openUploads(key)).toHaveLength(4);
});

test("without the permission to list, a retried begin still begins, and the operator hears of it", async () => {
  const key = "no-list";
  const body = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
  proxy.fault = (request) =>
    /^GET .*uploads/.test(request) ? { when: "before", answer: { status: 403, body } } : null;
  await server.begin({ key, size: 10, partSize: 10, triedForMs: 1_000 });
  expect(await engine.openUploads(key)).toHaveLength(1);
  expect(server.errors).toMatchObject([
    { error: { kind: "permanent", code: "FORBIDDEN" }, context: { operation: "begin", key, status: null } },
  ]);
});

test("an upload that someone aborted meanwhile is gone, and begins anew", async () => {
  const key = "raced";
  const token = await server.begin({ key, size: 10, partSize: 10 });
  const [UploadId] = await engine.openUploads(key);
  await engine.client.send(new AbortMultipartUploadCommand({ Bucket: engine.bucket, Key: key, UploadId }));
  const parts = [{ partNumber: 1, etag: "0".repeat(32) }];
  expect(await server.refusal("complete", { token, parts })).toMatchObject({
    kind: "gone",
    code: "UPLOAD_GONE",
  });
});
