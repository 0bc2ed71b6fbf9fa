import { randomUUID } from "node:crypto";
import { GetObjectCommand, HeadObjectCommand } from "@aws-sdk/client-s3";
import * as v from "valibot";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { beginAnswer } from "../../src/core/http-api.ts";
import { type BeginIntent, MAX_SIGNED_AT_BEGIN } from "../../src/core/storage.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import {
  beginIntent,
  cut,
  putPart,
  someBytes,
  startUploadServer,
  toSign,
  type UploadServer,
} from "./upload-server.ts";

let engine: S3Engine;
let server: UploadServer;
let partSize: number;

beforeAll(async () => {
  engine = await startS3();
  server = await startUploadServer(engine);
  partSize = Math.max(engine.minPartBytes, 1_000);
});

afterAll(async () => {
  await server.close();
  await engine.close();
});

async function storedBytes(key: string): Promise<Buffer> {
  const { Body } = await engine.client.send(new GetObjectCommand({ Bucket: engine.bucket, Key: key }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
}

describe("multipart", () => {
  test("from begin to the object", async () => {
    const bytes = someBytes(2 * partSize + 7);
    const uploadId = randomUUID();
    const key = "photos/multi.jpg";
    const token = await server.begin({ uploadId, key, size: bytes.length, partSize, type: "image/jpeg" });
    const receipts = await server.put(token, cut(bytes, partSize));

    const page = await server.parts(token);
    expect(page.next).toBeNull();
    expect(page.parts.map(({ size: _, ...receipt }) => receipt)).toEqual(receipts);
    expect(page.parts.map(({ size }) => size)).toEqual([partSize, partSize, 7]);
    expect((await server.parts(token, 2)).parts.map(({ partNumber }) => partNumber)).toEqual([3]);

    const object = await server.complete(token, receipts.toReversed());
    expect(object).toMatchObject({ key, size: bytes.length });
    expect(object.etag).toMatch(/^[0-9a-f]{32}-3$/);
    expect(object.location).toBe(`${engine.endpoint}/${engine.bucket}/${key}`);
    expect((await storedBytes(key)).equals(bytes)).toBe(true);
    const head = await engine.client.send(new HeadObjectCommand({ Bucket: engine.bucket, Key: key }));
    expect(head).toMatchObject({ ContentType: "image/jpeg", Metadata: { "backhaul-upload": uploadId } });
  });

  test("an empty file is one empty part", async () => {
    const token = await server.begin({ key: "empty", size: 0, partSize });
    const receipts = await server.put(token, [[1, new Uint8Array()]]);
    expect(await server.complete(token, receipts)).toMatchObject({ size: 0 });
  });

  test("complete again gives the same object", async () => {
    const bytes = someBytes(partSize + 1);
    const token = await server.begin({ key: "twice", size: bytes.length, partSize });
    const receipts = await server.put(token, cut(bytes, partSize));
    const first = await server.complete(token, receipts);
    expect(await server.complete(token, receipts)).toEqual(first);
  });

  test("complete lacking a part, or naming one twice, asks for the parts", async () => {
    const bytes = someBytes(partSize + 1);
    const token = await server.begin({ key: "lacking", size: bytes.length, partSize });
    const receipts = await server.put(token, cut(bytes, partSize));
    const [first, second] = receipts;
    for (const parts of [[first], [first, first], [first, second, { partNumber: 3, etag: "0".repeat(32) }]])
      expect(await server.refusal("complete", { token, parts })).toMatchObject({
        status: 409,
        kind: "partsMismatch",
        code: "PARTS_MISMATCH",
      });
    expect(await server.complete(token, receipts)).toMatchObject({ size: bytes.length });
  });

  test("complete with a part that never came, or another ETag, asks for the parts", async () => {
    const bytes = someBytes(partSize + 1);
    const token = await server.begin({ key: "wrong-etag", size: bytes.length, partSize });
    const first = await server.put(token, cut(bytes, partSize).slice(0, 1));
    const other = { partNumber: 2, etag: "d41d8cd98f00b204e9800998ecf8427e" };
    const refusal = { status: 409, kind: "partsMismatch", code: "PARTS_MISMATCH" };
    expect(await server.refusal("complete", { token, parts: [...first, other] })).toMatchObject(refusal);
    const second = await server.put(token, cut(bytes, partSize).slice(1));
    expect(await server.refusal("complete", { token, parts: [...first, other] })).toMatchObject(refusal);
    expect(await server.complete(token, [...first, ...second])).toMatchObject({ size: bytes.length });
  });

  test("after an abort the upload is gone, and a second abort is not an error", async () => {
    const bytes = someBytes(partSize);
    const key = "aborted";
    const token = await server.begin({ key, size: bytes.length, partSize });
    const parts = await server.put(token, cut(bytes, partSize));
    await server.abort(token);
    await server.abort(token);
    expect(await engine.openUploads(key)).toEqual([]);
    const gone = { status: 410, kind: "gone", code: "UPLOAD_GONE" };
    expect(await server.refusal("complete", { token, parts })).toMatchObject(gone);
    expect(await server.refusal("parts", { token, after: 0 })).toMatchObject(gone);
  });

  test("after an abort, an object of another upload at the key is not mistaken for this one", async () => {
    const bytes = someBytes(partSize);
    const key = "replaced";
    const token = await server.begin({ key, size: bytes.length, partSize });
    const parts = await server.put(token, cut(bytes, partSize));
    await server.abort(token);
    const other = await server.begin({ key, size: bytes.length, method: "single", partSize: bytes.length });
    await server.put(other, [[1, bytes]]);
    expect(await server.refusal("complete", { token, parts })).toMatchObject({ kind: "gone" });
  });

  test("a signature is good for the part's own length only", async () => {
    const bytes = someBytes(partSize + 5);
    const token = await server.begin({ key: "length", size: bytes.length, partSize });
    const second = await server.signOne(token, 2);
    await expect(putPart(second, bytes.subarray(0, 6))).rejects.toThrow(/ 403 /);
    await putPart(second, bytes.subarray(partSize));
  });

  test("signed URLs carry no checksum of a body that the server has not seen", async () => {
    const token = await server.begin({ key: "plain", size: 10, partSize: 10 });
    const part = await server.signOne(token, 1);
    expect(part.url).not.toMatch(/checksum/i);
    expect(part.headers).toEqual({});
    expect(part.expiresInMs).toBeGreaterThan(3_590_000);
    expect(part.expiresInMs).toBeLessThanOrEqual(3_600_000);
  });

  test("part numbers out of the plan are refused", async () => {
    const token = await server.begin({ key: "plan", size: 25, partSize: 10 });
    expect((await server.sign(token, toSign([1, 2, 3]))).map(({ partNumber }) => partNumber)).toEqual([
      1, 2, 3,
    ]);
    for (const partNumbers of [[4], [1, 10_000], [0], [10_001], [1.5], []])
      expect(await server.refusal("sign", { token, parts: toSign(partNumbers) })).toMatchObject({
        status: 400,
        kind: "permanent",
        code: "REQUEST_INVALID",
      });
  });

  test("more parts than one page holds", async () => {
    const bytes = someBytes(2_300);
    const token = await server.begin({ key: "pages", size: bytes.length, partSize: 1 });
    const receipts = await server.put(token, cut(bytes, 1));
    const listed = [];
    const pages = [];
    for (let after: number | null = 0; after !== null; ) {
      const page = await server.parts(token, after);
      listed.push(...page.parts);
      pages.push(page.parts.length);
      after = page.next;
    }
    expect(pages).toEqual([1_000, 1_000, 300]);
    expect(listed.map(({ size: _, ...receipt }) => receipt)).toEqual(receipts);
  }, 60_000);

  test.skipIf(process.env.S3_ENDPOINT !== undefined)(
    "10,000 parts",
    async () => {
      const bytes = someBytes(10_000);
      const token = await server.begin({ key: "most", size: bytes.length, partSize: 1 });
      const receipts = await server.put(token, cut(bytes, 1));
      expect(await server.complete(token, receipts)).toMatchObject({ size: 10_000 });
      expect((await storedBytes("most")).equals(bytes)).toBe(true);
    },
    180_000,
  );
});

describe("single", () => {
  const begin = (key: string, size: number, more = {}) =>
    server.begin({ key, size, partSize: size, method: "single", ...more });

  test("from begin to the object", async () => {
    const bytes = someBytes(1_234);
    const uploadId = randomUUID();
    const key = "notes/one.txt";
    const token = await begin(key, bytes.length, { uploadId, type: " text/plain;  charset=utf-8 " });
    expect(await server.parts(token)).toEqual({ parts: [], next: null });
    const part = await server.signOne(token, 1);
    expect(part.headers).toEqual({
      "content-type": "text/plain; charset=utf-8",
      "x-amz-meta-backhaul-upload": uploadId,
    });
    expect(new URL(part.url).searchParams.get("X-Amz-SignedHeaders")).toBe(
      "content-length;content-type;host;x-amz-meta-backhaul-upload",
    );
    const receipt = await putPart(part, bytes);
    expect(await server.parts(token)).toEqual({ parts: [{ ...receipt, size: bytes.length }], next: null });
    expect(await server.parts(token, 1)).toEqual({ parts: [], next: null });
    const object = await server.complete(token, [receipt]);
    expect(object).toMatchObject({ key, size: bytes.length, etag: receipt.etag });
    expect(await server.complete(token, [receipt])).toEqual(object);
    const head = await engine.client.send(new HeadObjectCommand({ Bucket: engine.bucket, Key: key }));
    expect(head).toMatchObject({
      ContentType: "text/plain; charset=utf-8",
      Metadata: { "backhaul-upload": uploadId },
    });
    expect((await storedBytes(key)).equals(bytes)).toBe(true);
  });

  test("an empty, untyped file", async () => {
    const token = await begin("single-empty", 0);
    const receipts = await server.put(token, [[1, new Uint8Array()]]);
    expect(await server.complete(token, receipts)).toMatchObject({ size: 0 });
  });

  test("the signed headers must be sent, and the length kept", async () => {
    const bytes = someBytes(10);
    const token = await begin("headers", 10, { type: "text/plain" });
    const part = await server.signOne(token, 1);
    await expect(putPart({ ...part, headers: {} }, bytes)).rejects.toThrow(/ 403 /);
    const disguised = { ...part, headers: { ...part.headers, "content-type": "text/html" } };
    await expect(putPart(disguised, bytes)).rejects.toThrow(/ 403 /);
    await expect(putPart(part, someBytes(11))).rejects.toThrow(/ 403 /);
    await putPart(part, bytes);
  });

  test("complete before the PUT asks for it", async () => {
    const token = await begin("early", 3);
    expect(await server.refusal("complete", { token, parts: [{ partNumber: 1, etag: "x" }] })).toMatchObject({
      status: 409,
      kind: "partsMismatch",
    });
    expect(await server.refusal("sign", { token, parts: toSign([2]) })).toMatchObject({
      code: "REQUEST_INVALID",
    });
  });

  test("an object of the same size from someone else is not ours", async () => {
    const bytes = someBytes(50);
    const key = "shared";
    await server.put(await begin(key, 50), [[1, bytes]]);
    const token = await begin(key, 50);
    expect(await server.parts(token)).toEqual({ parts: [], next: null });
    const parts = [{ partNumber: 1, etag: "x" }];
    expect(await server.refusal("complete", { token, parts })).toMatchObject({
      status: 409,
      kind: "permanent",
      code: "VERIFICATION_FAILED",
    });
  });

  test("an ETag that is not the object's has the client look up the parts", async () => {
    const token = await begin("etag", 5);
    await server.put(token, [[1, someBytes(5)]]);
    expect(await server.refusal("complete", { token, parts: [{ partNumber: 1, etag: "x" }] })).toMatchObject({
      kind: "partsMismatch",
    });
  });

  test("abort leaves the object alone", async () => {
    const token = await begin("kept", 5);
    const receipts = await server.put(token, [[1, someBytes(5)]]);
    await server.abort(token);
    expect(await server.complete(token, receipts)).toMatchObject({ size: 5 });
  });
});

describe("keys", () => {
  const odd = [
    "a b+c&d=e?f#g%41<h>'\"i;j:k@l!m*(n),o~p$q",
    "ünï/çödé/日本語/😀.jpg",
    "double//slash",
    "ends/with/",
    " blank at both ends ",
    "back\\slash^`{|}[]",
    "…/.hidden/..two/three...",
    "x".repeat(1_024),
    "&amp;<Key>",
  ];

  test.each(odd)("%s", async (key) => {
    const bytes = someBytes(20);
    const multi = await server.begin({ key, size: 20, partSize: 20 });
    const object = await server.complete(multi, await server.put(multi, cut(bytes, 20)));
    expect(object.key).toBe(key);
    expect(decodeURIComponent(new URL(object.location).pathname)).toBe(`/${engine.bucket}/${key}`);
    expect((await storedBytes(key)).equals(bytes)).toBe(true);

    const single = await server.begin({ key, size: 20, partSize: 20, method: "single" });
    expect((await server.complete(single, await server.put(single, [[1, bytes]]))).key).toBe(key);

    // The lost try is found by its key, whatever is in it.
    await server.begin({ key, size: 20, partSize: 20 });
    await server.begin({ key, size: 20, partSize: 20, triedForMs: 1_000 });
    expect(await engine.openUploads(key)).toHaveLength(1);
  });
});

describe("the first parts, presigned by begin", () => {
  async function begin(intent: Partial<BeginIntent>) {
    const response = await server.post("begin", beginIntent(intent));
    return v.parse(beginAnswer, await response.json());
  }

  test("are the whole object where it is one PUT", async () => {
    const bytes = someBytes(30);
    const { token, signed = [] } = await begin({
      key: "signed/one",
      size: 30,
      partSize: 30,
      method: "single",
    });
    expect(signed.map(({ partNumber }) => partNumber)).toEqual([1]);
    const receipts = await Promise.all(signed.map((part) => putPart(part, bytes)));
    expect(await server.complete(token, receipts)).toMatchObject({ key: "signed/one", size: 30 });
    expect((await storedBytes("signed/one")).equals(bytes)).toBe(true);
  });

  test("are as many as there are, and stored like those of sign", async () => {
    const bytes = someBytes(2 * partSize + 7);
    const { token, signed = [] } = await begin({ key: "signed/three", size: bytes.length, partSize });
    expect(signed.map(({ partNumber }) => partNumber)).toEqual([1, 2, 3]);
    const parts = cut(bytes, partSize);
    const receipts = await Promise.all(
      signed.map((part, index) => putPart(part, parts[index]?.[1] ?? new Uint8Array())),
    );
    await server.complete(token, receipts);
    expect((await storedBytes("signed/three")).equals(bytes)).toBe(true);
  });

  test("are a few of many", async () => {
    const { signed } = await begin({ key: "signed/many", size: 1_000 * partSize, partSize });
    expect(signed).toHaveLength(MAX_SIGNED_AT_BEGIN);
  });

  test("are none where signatures hold the bytes' checksums", async () => {
    for (const method of ["single", "multipart"] as const) {
      const { signed } = await begin({
        key: "signed/none",
        size: 30,
        partSize: 30,
        method,
        checksum: "crc64nvme",
      });
      expect(signed).toEqual([]);
    }
  });
});
