/** The app is told of each upload, at least once, whatever fails. */
import { HeadObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import type { AuditEntry, CompletedUpload, HookedUpload, UploadPermit } from "../../server/index.ts";
import type { BeginIntent, UploadMethod } from "../../src/core/storage.ts";
import { checksumOf } from "./checksum-of.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { type S3Proxy, startProxy } from "./s3-proxy.ts";
import { beginIntent, someBytes, startUploadServer, toSign, type UploadServer } from "./upload-server.ts";

let engine: S3Engine;
let proxy: S3Proxy;
let server: UploadServer;
const hooks = {
  onBegin: vi.fn<(upload: HookedUpload, request: Request) => unknown>(),
  onComplete: vi.fn<(upload: CompletedUpload, request: Request) => unknown>(),
  onAbort: vi.fn<(upload: HookedUpload, request: Request) => unknown>(),
  audit: vi.fn<(entry: AuditEntry, request: Request) => unknown>(),
};
let permit: Partial<UploadPermit> = {};
const METHODS = ["single", "multipart"] as const;
const bytes = someBytes(1_000);

beforeAll(async () => {
  engine = await startS3();
  proxy = await startProxy(engine.endpoint);
  server = await startUploadServer(engine, {
    client: engine.clientAt(proxy.url, 1),
    authorize: (request, { operation, key }) => {
      if (request.headers.get("authorization") === "no") return new Response(null, { status: 403 });
      return operation === "begin" ? { key, owner: "ann", ...permit } : { key, owner: "ann" };
    },
    onBegin: (...told) => hooks.onBegin(...told),
    onComplete: (...told) => hooks.onComplete(...told),
    onAbort: (...told) => hooks.onAbort(...told),
    audit: (...told) => hooks.audit(...told),
  });
});

afterEach(() => {
  for (const hook of Object.values(hooks)) hook.mockReset();
  proxy.fault = () => null;
  permit = {};
  server.errors.length = 0;
});

afterAll(async () => {
  await server.close();
  await proxy.close();
  await engine.close();
});

function intentOf(key: string, method: UploadMethod): Partial<BeginIntent> {
  return { key, method, size: bytes.length, partSize: bytes.length };
}

/** An upload whose parts are all sent. */
async function sent(key: string, method: UploadMethod, more: Partial<BeginIntent> = {}) {
  const token = await server.begin({ ...intentOf(key, method), ...more });
  return { token, parts: await server.put(token, [[1, bytes]]) };
}

const isComplete = (request: string) => /^POST .*uploadId=/.test(request);
const ids = () => hooks.onComplete.mock.calls.map(([{ id }]) => id);

describe("onBegin", () => {
  test.each(METHODS)("is told what was allowed, before the client is: %s", async (method) => {
    const uploadId = "7e57ab1e-0000-4000-8000-000000000001";
    const metadata = { album: "summer" };
    const intent = { ...intentOf("hooks/begin", method), uploadId, metadata, type: "image/png" };
    await server.begin({ ...intent, checksum: "sha256" });
    expect(hooks.onBegin.mock.calls.map(([upload]) => upload)).toEqual([
      {
        id: expect.stringMatching(/^[\da-f-]{36}$/),
        uploadId,
        bucket: engine.bucket,
        key: "hooks/begin",
        owner: "ann",
        size: bytes.length,
        type: "image/png",
        method,
        checksumKind: "sha256",
        metadata,
      },
    ]);
    expect(hooks.onBegin.mock.calls[0]?.[1]).toBeInstanceOf(Request);
  });

  test.each(METHODS)("that throws lets nothing begin, and the client tries again: %s", async (method) => {
    const key = `hooks/begin-fails-${method}`;
    hooks.onBegin.mockRejectedValueOnce(new Error("hunter2"));
    const refusal = await server.refusal("begin", beginIntent(intentOf(key, method)));
    expect(refusal).toMatchObject({ status: 503, kind: "transient", code: "SERVER_ERROR" });
    expect(refusal.message).not.toContain("hunter2");
    expect(server.errors).toMatchObject([{ error: { cause: { message: "hunter2" } } }]);
    expect(await engine.openUploads(key)).toEqual([]);
    await server.begin(intentOf(key, method));
  });

  test("is told of no upload that is refused", async () => {
    const init = { headers: { "content-type": "application/json", authorization: "no" } };
    await server.refusal("begin", beginIntent(), init);
    expect(hooks.onBegin).not.toHaveBeenCalled();
  });
});

describe("onComplete", () => {
  test.each(METHODS)("is told what is stored, before the client is: %s", async (method) => {
    const key = `hooks/complete-${method}`;
    const { token, parts } = await sent(key, method, { checksum: "crc64nvme", metadata: { a: "b" } });
    let isAnswered = false;
    let wasAnswered: boolean | undefined;
    hooks.onComplete.mockImplementationOnce(async ({ key: told }) => {
      // The object is there by now.
      await engine.client.send(new HeadObjectCommand({ Bucket: engine.bucket, Key: told }));
      wasAnswered = isAnswered;
    });
    const object = await server.complete(token, parts);
    isAnswered = true;
    expect(wasAnswered).toBe(false);
    const begun = hooks.onBegin.mock.calls[0]?.[0];
    // Ceph 16 knows no checksum of this kind.
    const { ChecksumCRC64NVME = null } = await engine.client.send(
      new HeadObjectCommand({ Bucket: engine.bucket, Key: key, ChecksumMode: "ENABLED" }),
    );
    if (process.env.S3_ENDPOINT === undefined)
      expect(ChecksumCRC64NVME).toBe(await checksumOf("crc64nvme", bytes));
    expect(hooks.onComplete.mock.calls.map(([upload]) => upload)).toEqual([
      {
        ...begun,
        etag: object.etag,
        location: object.location,
        checksum: ChecksumCRC64NVME,
        versionId: null,
        metadata: { a: "b" },
      },
    ]);
    // The client is told no more than before.
    expect(Object.keys(object).sort()).toEqual(["etag", "key", "location", "size"]);
  });

  test.each(METHODS)("that throws twice is called a third time, and nothing is lost: %s", async (method) => {
    const { token, parts } = await sent(`hooks/twice-${method}`, method);
    hooks.onComplete.mockRejectedValueOnce(new Error("no")).mockImplementationOnce(() => {
      throw new Error("no");
    });
    for (let turn = 0; turn < 2; turn++)
      expect(await server.refusal("complete", { token, parts })).toMatchObject({
        status: 503,
        kind: "transient",
        code: "SERVER_ERROR",
      });
    await server.complete(token, parts);
    expect(new Set(ids()).size).toBe(1);
    expect(ids()).toHaveLength(3);
  });

  test.each([
    "lost",
    { status: 500 },
    { status: 200, body: "<Error><Code>InternalError</Code></Error>" },
  ] as const)("is called though S3's answer to Complete is %j", async (answer) => {
    const { token, parts } = await sent("hooks/lost", "multipart");
    let cuts = 1;
    proxy.fault = (request) => (isComplete(request) && cuts-- > 0 ? { when: "after", answer } : null);
    const first = await server.post("complete", { token, parts });
    if (first.status !== 200) {
      expect(hooks.onComplete).not.toHaveBeenCalled();
      await server.complete(token, parts);
    }
    expect(ids()).toHaveLength(1);
  });

  test.each(METHODS)("is called though the server dies between S3's answer and it: %s", async (method) => {
    const { token, parts } = await sent(`hooks/killed-${method}`, method);
    // One that dies never comes to call its hook.
    const dying = await startUploadServer(engine, {
      authorize: (_request, { key }) => ({ key, owner: "ann" }),
      onComplete: () => new Promise(() => {}),
    });
    const isCompleted = vi.waitFor(async () =>
      engine.client.send(new HeadObjectCommand({ Bucket: engine.bucket, Key: `hooks/killed-${method}` })),
    );
    const unanswered = dying.post("complete", { token, parts }).catch(() => "cut");
    await isCompleted;
    await dying.close();
    expect(await unanswered).toBe("cut");
    await server.complete(token, parts);
    expect(ids()).toHaveLength(1);
  });

  test.each(METHODS)("has one id for two completes at once: %s", async (method) => {
    const { token, parts } = await sent(`hooks/both-${method}`, method);
    const answers = await Promise.all([1, 2].map(() => server.post("complete", { token, parts })));
    for (const { status } of answers) if (status !== 200) expect(status).toBe(503);
    await server.complete(token, parts);
    expect(ids().length).toBeGreaterThanOrEqual(1);
    expect(new Set(ids()).size).toBe(1);
  });

  test.each(METHODS)("is never called for an object that is not there: %s", async (method) => {
    const token = await server.begin(intentOf(`hooks/absent-${method}`, method));
    const parts = [{ partNumber: 1, etag: "0".repeat(32), checksum: null }];
    await server.refusal("complete", { token, parts });
    await server.abort(token);
    await server.refusal("complete", { token, parts });
    expect(hooks.onComplete).not.toHaveBeenCalled();
  });

  test("is never called for another upload's object", async () => {
    const { token, parts } = await sent("hooks/mine", "single");
    await sent("hooks/mine", "single");
    expect(await server.refusal("complete", { token, parts })).toMatchObject({ code: "VERIFICATION_FAILED" });
    expect(hooks.onComplete).not.toHaveBeenCalled();
  });
});

describe("onAbort", () => {
  test.each(METHODS)("is told of an upload that was dropped, again if it throws: %s", async (method) => {
    const token = await server.begin(intentOf(`hooks/abort-${method}`, method));
    hooks.onAbort.mockRejectedValueOnce(new Error("no"));
    expect(await server.refusal("abort", { token })).toMatchObject({ status: 503, kind: "transient" });
    await server.abort(token);
    const [begun] = hooks.onBegin.mock.calls[0] ?? [];
    expect(hooks.onAbort.mock.calls.map(([upload]) => upload)).toEqual([begun, begun]);
  });

  test.each(METHODS)("is not told of one that is complete: %s", async (method) => {
    const { token, parts } = await sent(`hooks/late-${method}`, method);
    await server.complete(token, parts);
    await server.abort(token);
    expect(hooks.onAbort).not.toHaveBeenCalled();
  });
});

describe("metadata", () => {
  const stored = async (key: string) =>
    (await engine.client.send(new HeadObjectCommand({ Bucket: engine.bucket, Key: key }))).Metadata;

  test.each(METHODS)("of the client's is the object's, and authorize may overrule it: %s", async (method) => {
    const key = `hooks/metadata-${method}`;
    const uploadId = "7e57ab1e-0000-4000-8000-000000000002";
    const metadata = { album: "summer", rating: "5 of 5" };
    const first = await sent(key, method, { uploadId, metadata });
    await server.complete(first.token, first.parts);
    expect(await stored(key)).toEqual({ ...metadata, "backhaul-upload": uploadId });
    permit = { object: { metadata: { album: "winter" } } };
    const second = await sent(key, method, { uploadId, metadata });
    await server.complete(second.token, second.parts);
    expect(await stored(key)).toEqual({ album: "winter", "backhaul-upload": uploadId });
    expect(hooks.onComplete.mock.calls.map(([upload]) => upload.metadata)).toEqual([
      metadata,
      { album: "winter" },
    ]);
  });

  test.each([
    { Album: "x" },
    { "a b": "x" },
    { "": "x" },
    { album: "sömmer" },
    { album: "a\r\nx-amz-acl: public-read" },
    { album: "" },
    { album: "x".repeat(2_048) },
    { "backhaul-upload": "another" },
    { album: 5 },
  ])("%j is refused", async (metadata) => {
    const refusal = await server.refusal("begin", { ...beginIntent(), metadata });
    expect(refusal).toMatchObject({ status: 400, code: "REQUEST_INVALID" });
  });
});

describe("audit", () => {
  const entries = () => hooks.audit.mock.calls.map(([{ at: _, ...entry }]) => entry);

  test("is told of each request and what came of it", async () => {
    const key = "hooks/audited";
    const { token, parts } = await sent(key, "multipart");
    await server.complete(token, parts);
    const known = { key, owner: "ann", outcome: "done", status: 200, code: null };
    expect(entries()).toEqual(["begin", "sign", "complete"].map((operation) => ({ ...known, operation })));
    expect(hooks.audit.mock.calls[0]?.[0].at).toBeInstanceOf(Date);
  });

  test("tells who was refused from what has failed", async () => {
    const init = { headers: { "content-type": "application/json", authorization: "no" } };
    await server.refusal("begin", beginIntent({ key: "hooks/refused" }), init);
    await server.refusal("parts", { token: "v1.e30.e30", after: 0 });
    await server.post("nothing", {});
    proxy.fault = () => ({ when: "before", answer: { status: 500 } });
    await server.refusal("begin", beginIntent({ key: "hooks/failed" }));
    expect(entries()).toEqual([
      {
        operation: "begin",
        outcome: "refused",
        status: 403,
        code: "FORBIDDEN",
        key: "hooks/refused",
        owner: null,
      },
      { operation: "parts", outcome: "refused", status: 403, code: "TOKEN_INVALID", key: null, owner: null },
      { operation: null, outcome: "refused", status: 404, code: "REQUEST_INVALID", key: null, owner: null },
      {
        operation: "begin",
        outcome: "failed",
        status: 503,
        code: "SERVER_ERROR",
        key: "hooks/failed",
        owner: "ann",
      },
    ]);
  });

  test("may fail, and has no token in it", async () => {
    hooks.audit.mockImplementationOnce(() => {
      throw new Error("no");
    });
    hooks.audit.mockRejectedValueOnce(new Error("no"));
    const token = await server.begin(intentOf("hooks/quiet", "multipart"));
    expect(await server.sign(token, toSign([1]))).toHaveLength(1);
    expect(JSON.stringify(entries())).not.toContain(token.slice(3, 40));
  });
});
