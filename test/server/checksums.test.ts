import { createHash, randomUUID } from "node:crypto";
import { GetObjectCommand, HeadObjectCommand } from "@aws-sdk/client-s3";
import * as v from "valibot";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createUploadHandler } from "../../server/index.ts";
import { CHECKSUM_KINDS, type ChecksumKind, isSigned } from "../../src/core/checksum.ts";
import { relayAnswer } from "../../src/core/http-api.ts";
import { RELAY_TOKEN_HEADER, relayUrl } from "../../src/core/relay-url.ts";
import type { PartReceipt } from "../../src/core/storage.ts";
import { checksumOf, withFlippedBit } from "./checksum-of.ts";
import { putRun, uploadIdOf } from "./relay-client.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { cut, putPart, SECRET, someBytes, startUploadServer, type UploadServer } from "./upload-server.ts";

// Where `S3_ENDPOINT` names an engine, it may be one that overlooks the other kinds, and takes no trailers.
const CHECKED_KINDS = CHECKSUM_KINDS.filter(
  (kind) => kind !== "none" && (process.env.S3_ENDPOINT === undefined || !isSigned(kind)),
);
const SIGNED_KINDS = CHECKED_KINDS.filter(isSigned);

let engine: S3Engine;
let server: UploadServer;
let partSize: number;
let bytes: Uint8Array;

beforeAll(async () => {
  engine = await startS3();
  server = await startUploadServer(engine);
  partSize = Math.max(engine.minPartBytes, 50_000);
  bytes = someBytes(2 * partSize + 7);
});

afterAll(async () => {
  await server.close();
  await engine.close();
});

const sha256 = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");

async function storedBytes({ client, bucket }: S3Engine, key: string): Promise<Uint8Array> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
  return (await Body?.transformToByteArray()) ?? new Uint8Array();
}

const beginParts = (checksum: ChecksumKind, on = server, key = `parts-${randomUUID()}`) =>
  on.begin({ key, size: bytes.length, partSize, checksum });

const beginSingle = (checksum: ChecksumKind, on = server, key = `single-${randomUUID()}`) =>
  on.begin({ key, size: bytes.length, method: "single", partSize: bytes.length, checksum });

/** With the checksum of other bytes in each of them, or in the first `count`. */
function withOtherChecksums(kind: ChecksumKind, receipts: readonly PartReceipt[], count = receipts.length) {
  return Promise.all(
    receipts.map(async (receipt, index) => {
      const other = await checksumOf(kind, someBytes(index + 1));
      return index < count ? { ...receipt, checksum: other } : receipt;
    }),
  );
}

const MISMATCH = { status: 409, kind: "partsMismatch", code: "PARTS_MISMATCH" };
const FAILED = { status: 409, kind: "permanent", code: "VERIFICATION_FAILED" };
const MALFORMED = { status: 400, kind: "permanent", code: "REQUEST_INVALID" };

describe.each(CHECKSUM_KINDS)("%s", (kind) => {
  test("parts from begin to the object", async () => {
    const key = `whole/parts-${kind}`;
    const token = await beginParts(kind, server, key);
    const receipts = await server.put(token, cut(bytes, partSize));
    expect(await server.complete(token, receipts.toReversed())).toMatchObject({ size: bytes.length });
    expect(sha256(await storedBytes(engine, key))).toBe(sha256(bytes));
    expect(await server.complete(token, receipts)).toMatchObject({ size: bytes.length });
  });

  test("a single PUT goes from begin to the object", async () => {
    const key = `whole/single-${kind}`;
    const token = await beginSingle(kind, server, key);
    const receipts = await server.put(token, [[1, bytes]]);
    expect(await server.complete(token, receipts)).toMatchObject({ size: bytes.length });
    expect(sha256(await storedBytes(engine, key))).toBe(sha256(bytes));
  });

  test("an empty file goes as a part and as a single PUT", async () => {
    for (const method of ["multipart", "single"] as const) {
      const key = `none/${method}-${kind}`;
      const plan = { size: 0, method, partSize: method === "single" ? 0 : partSize };
      const token = await server.begin({ key, ...plan, checksum: kind });
      const receipts = await server.put(token, [[1, new Uint8Array()]]);
      expect(await server.complete(token, receipts)).toMatchObject({ size: 0 });
    }
  });

  test("receipts without checksums are completed, where S3 does not ask for them", async () => {
    const token = await beginParts(kind);
    const receipts = await server.put(token, cut(bytes, partSize));
    const without = receipts.map((receipt) => ({ ...receipt, checksum: null }));
    const isDemanded = SIGNED_KINDS.some((each) => each === kind) && kind !== "crc64nvme";
    if (isDemanded) await server.complete(token, receipts);
    expect(await server.complete(token, without)).toMatchObject({ size: bytes.length });
  });
});

describe.each(CHECKED_KINDS)("%s is checked", (kind) => {
  test("S3 refuses a body with one other bit", async () => {
    const checksum = await checksumOf(kind, bytes.subarray(0, partSize));
    const ofWhole = await checksumOf(kind, bytes);
    const signed = (each: string | null) => (isSigned(kind) && each !== null ? each : undefined);
    const md5 = (each: string | null) => (kind === "md5" ? each : null);
    const token = await beginParts(kind);
    const part = await server.signOne(token, 1, signed(checksum));
    const flipped = withFlippedBit(bytes.subarray(0, partSize));
    await expect(putPart(part, flipped, md5(checksum))).rejects.toThrow(/ 400 .*BadDigest/s);
    expect((await server.parts(token)).parts).toEqual([]);
    const single = await beginSingle(kind);
    const put = await server.signOne(single, 1, signed(ofWhole));
    await expect(putPart(put, withFlippedBit(bytes), md5(ofWhole))).rejects.toThrow(/ 400 .*BadDigest/s);
    expect((await server.parts(single)).parts).toEqual([]);
  });

  test("no object is made of parts of which one is not what was sent", async () => {
    const key = `foreign-${kind}`;
    const token = await beginParts(kind, server, key);
    const receipts = await server.put(token, cut(bytes, partSize));
    const parts = await withOtherChecksums(kind, receipts, 1);
    expect(await server.refusal("complete", { token, parts })).toMatchObject(MISMATCH);
    const head = new HeadObjectCommand({ Bucket: engine.bucket, Key: key });
    await expect(engine.client.send(head)).rejects.toMatchObject({ name: "NotFound" });
    expect(await server.complete(token, receipts)).toMatchObject({ size: bytes.length });
  });

  test("an object that is not what was sent is not done", async () => {
    const token = await beginParts(kind);
    const receipts = await server.put(token, cut(bytes, partSize));
    await server.complete(token, receipts);
    const parts = await withOtherChecksums(kind, receipts);
    expect(await server.refusal("complete", { token, parts: parts.slice(0, 2) })).toMatchObject(MISMATCH);
    expect(await server.refusal("complete", { token, parts })).toMatchObject(FAILED);

    const single = await beginSingle(kind);
    const whole = await withOtherChecksums(kind, await server.put(single, [[1, bytes]]));
    expect(await server.refusal("complete", { token: single, parts: whole })).toMatchObject(FAILED);
  });

  test("a checksum of another length is refused", async () => {
    const token = await beginParts(kind);
    const receipts = await server.put(token, cut(bytes, partSize));
    const other = kind === "md5" ? "sha256" : "md5";
    const parts = await withOtherChecksums(other, receipts, 1);
    expect(await server.refusal("complete", { token, parts })).toMatchObject(MALFORMED);
  });

  test("parts that come through the relay", async () => {
    const key = `relayed-${kind}`;
    const token = await beginParts(kind, server, key);
    const receipts = await relayParts(token, 3, bytes);
    const hashed = await Promise.all(
      cut(bytes, partSize).map(async ([partNumber, body], index) => {
        const checksum = await checksumOf(kind, body);
        // Of an MD5, the ETag tells.
        expect(receipts[index]).toMatchObject({ partNumber, checksum: isSigned(kind) ? checksum : null });
        return { partNumber, etag: receipts[index]?.etag ?? "", checksum };
      }),
    );
    expect(await server.complete(token, hashed)).toMatchObject({ size: bytes.length });
    expect(sha256(await storedBytes(engine, key))).toBe(sha256(bytes));
  });

  test("a body that comes whole through the relay", async () => {
    const key = `relayed-whole-${kind}`;
    const token = await beginSingle(kind, server, key);
    const [receipt] = await relayParts(token, 1, bytes);
    const checksum = await checksumOf(kind, bytes);
    expect(receipt?.checksum).toBe(isSigned(kind) ? checksum : null);
    const parts = [{ partNumber: 1, etag: receipt?.etag ?? "", checksum }];
    expect(await server.complete(token, parts)).toMatchObject({ size: bytes.length });
    expect(sha256(await storedBytes(engine, key))).toBe(sha256(bytes));
  });

  test.each([
    ["one part", 1, MISMATCH],
    ["all parts", 3, kind === "md5" ? FAILED : MISMATCH],
  ])(
    "an upload whose bytes were damaged on their way to the relay is not completed: %s",
    async (_, damaged, refusal) => {
      const parts = cut(bytes, partSize);
      const token = await beginParts(kind);
      const arrived = parts.map(([partNumber, body]) =>
        partNumber <= damaged ? withFlippedBit(body) : body,
      );
      const receipts = await relayParts(token, 3, Buffer.concat(arrived));
      const hashed = await Promise.all(
        receipts.map(async ({ partNumber, etag }, index) => {
          return { partNumber, etag, checksum: await checksumOf(kind, parts[index]?.[1] ?? bytes) };
        }),
      );
      expect(await server.refusal("complete", { token, parts: hashed })).toMatchObject(refusal);
    },
  );

  test("a single PUT that was damaged on its way to the relay is not completed", async () => {
    const token = await beginSingle(kind);
    const [receipt] = await relayParts(token, 1, withFlippedBit(bytes));
    const parts = [{ ...receipt, checksum: await checksumOf(kind, bytes) }];
    expect(await server.refusal("complete", { token, parts })).toMatchObject(FAILED);
  });
});

async function relayParts(token: string, count: number, body: Uint8Array): Promise<PartReceipt[]> {
  const answer = await putRun(server.url, token, 1, count, body);
  expect(answer.status).toBe(200);
  return v.parse(relayAnswer, answer.body).parts;
}

test.each(SIGNED_KINDS)("a relayed run may come in small pieces: %s", async (kind) => {
  // As S3 does, the embedded store refuses a body with a trailer whose chunks are as small as these.
  const handler = createUploadHandler({
    client: engine.client,
    bucket: engine.bucket,
    secret: SECRET,
    authorize: (_request, { key }) => ({ key }),
  });
  const token = await beginParts(kind);
  const pieces = cut(bytes, 1_001).map(([, piece]) => piece);
  const url = relayUrl(server.url, { uploadId: uploadIdOf(token), first: 1, count: 3 }, "a-fetch");
  const response = await handler(
    new Request(url, {
      method: "PUT",
      headers: { [RELAY_TOKEN_HEADER]: token, "content-length": String(bytes.length) },
      body: ReadableStream.from(pieces),
      duplex: "half",
    }),
  );
  const { parts } = v.parse(relayAnswer, await response.json());
  expect(await server.complete(token, parts)).toMatchObject({ size: bytes.length });
});

describe.each(CHECKSUM_KINDS.filter(isSigned))("%s goes into the signature", (kind) => {
  const header = `x-amz-checksum-${kind}`;

  test.each(["multipart", "single"] as const)(
    "the checksum is signed as a header, and not in the URL: %s",
    async (method) => {
      const token = method === "single" ? await beginSingle(kind) : await beginParts(kind);
      const checksum = (await checksumOf(kind, bytes)) ?? "";
      const part = await server.signOne(token, 1, checksum);
      expect(part.headers[header]).toBe(checksum);
      const query = new URL(part.url).searchParams;
      expect(query.get("X-Amz-SignedHeaders")?.split(";")).toContain(header);
      expect([...query.keys()].filter((name) => /checksum/i.test(name))).toEqual([]);
      const headers = { ...part.headers, [header]: (await checksumOf(kind, someBytes(1))) ?? "" };
      const body = method === "single" ? bytes : bytes.subarray(0, partSize);
      await expect(putPart({ ...part, headers }, body)).rejects.toThrow(/ 403 /);
    },
  );

  test("no part is signed without the checksum, or with something else in its place", async () => {
    const token = await beginParts(kind);
    const right = await checksumOf(kind, bytes);
    const md5 = await checksumOf("md5", bytes);
    const wrong = [null, md5, "AAAAAAAA", `${right?.slice(0, -3)}9==`, "A".repeat(43)];
    for (const checksum of wrong) {
      const parts = [
        { partNumber: 1, checksum: right },
        { partNumber: 2, checksum },
      ];
      expect(await server.refusal("sign", { token, parts })).toMatchObject(MALFORMED);
    }
  });
});

test.each(["md5", "none"] as const)("no checksum is signed for %s", async (kind) => {
  const checksum = await checksumOf("md5", bytes);
  for (const token of [await beginParts(kind), await beginSingle(kind)]) {
    const parts = [{ partNumber: 1, checksum }];
    expect(await server.refusal("sign", { token, parts })).toMatchObject(MALFORMED);
    const signed = await server.signOne(token, 1);
    expect(`${Object.keys(signed.headers)} ${signed.url}`).not.toMatch(/checksum|md5/i);
  }
});

test.each(SIGNED_KINDS)("parts are listed with their %s", async (kind) => {
  const token = await beginParts(kind);
  const receipts = await server.put(token, cut(bytes, partSize));
  const { parts } = await server.parts(token);
  expect(parts.map(({ size: _, ...receipt }) => receipt)).toEqual(receipts);
  const single = await beginSingle(kind);
  const put = await server.put(single, [[1, bytes]]);
  expect((await server.parts(single)).parts).toEqual([{ ...put[0], size: bytes.length }]);
});

describe("a bucket with SSE-KMS, whose ETags are no MD5s", () => {
  let kms: S3Engine;
  let kmsServer: UploadServer;

  beforeAll(async () => {
    kms = await startS3(undefined, { sse: "aws:kms" });
    kmsServer = await startUploadServer(kms);
  });

  afterAll(async () => {
    await kmsServer.close();
    await kms.close();
  });

  test.each(CHECKSUM_KINDS)("is completed: %s", async (kind) => {
    const key = `kms-${kind}`;
    const token = await beginParts(kind, kmsServer, key);
    const receipts = await kmsServer.put(token, cut(bytes, partSize));
    const md5s = cut(bytes, partSize).map(([, body]) => createHash("md5").update(body).digest("hex"));
    expect(receipts.filter(({ etag }) => md5s.includes(etag))).toEqual([]);
    expect(await kmsServer.complete(token, receipts)).toMatchObject({ size: bytes.length });
    expect(sha256(await storedBytes(kms, key))).toBe(sha256(bytes));

    const single = await beginSingle(kind, kmsServer, key);
    const put = await kmsServer.put(single, [[1, bytes]]);
    expect(await kmsServer.complete(single, put)).toMatchObject({ size: bytes.length });
    const head = new HeadObjectCommand({ Bucket: kms.bucket, Key: key });
    expect((await kms.client.send(head)).ServerSideEncryption).toBe("aws:kms");
  });

  test.each(CHECKSUM_KINDS.filter(isSigned))("is verified by its %s", async (kind) => {
    const token = await beginSingle(kind, kmsServer);
    const parts = await withOtherChecksums(kind, await kmsServer.put(token, [[1, bytes]]));
    expect(await kmsServer.refusal("complete", { token, parts })).toMatchObject(FAILED);
  });
});
