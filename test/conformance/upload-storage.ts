import { randomUUID } from "node:crypto";
import { GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { expect, test } from "vitest";
import { CHECKSUM_KINDS, type ChecksumKind, isSigned } from "../../src/core/checksum.ts";
import {
  type BeginIntent,
  type FaultKind,
  MAX_SIGNED_PARTS,
  type PartReceipt,
  type UploadStorage,
} from "../../src/core/storage.ts";
import { checksumOf } from "../server/checksum-of.ts";
import type { S3Engine } from "../server/s3-engine.ts";
import { beginIntent, cut, putPart, someBytes, toSign } from "../server/upload-server.ts";

/** The functions of an implementation that the suite needs. */
export interface StorageBed {
  readonly storage: UploadStorage;
  /** The S3 behind it, to see what has become of things. */
  readonly engine: Pick<S3Engine, "client" | "bucket" | "minPartBytes" | "openUploads">;
}

/**
 * The conformance suite of the storage port, against a real S3 store, with bytes that are sent to presigned
 * URLs.
 */
export function uploadStorageSuite(bed: () => StorageBed): void {
  const partSize = () => Math.max(bed().engine.minPartBytes, 1_000);

  async function begin(intent: Partial<BeginIntent> & { readonly key: string; readonly size: number }) {
    const { method = "multipart" } = intent;
    const size = method === "single" ? intent.size : partSize();
    return bed().storage.begin(beginIntent({ partSize: size, ...intent }));
  }

  /** Signs parts and PUTs them, as the engine does. */
  async function send(
    token: string,
    parts: readonly (readonly [partNumber: number, body: Uint8Array])[],
    kind: ChecksumKind = "none",
  ): Promise<PartReceipt[]> {
    const receipts: PartReceipt[] = [];
    for (let at = 0; at < parts.length; at += MAX_SIGNED_PARTS) {
      const batch = parts.slice(at, at + MAX_SIGNED_PARTS);
      const checksums = await Promise.all(batch.map(([, body]) => checksumOf(kind, body)));
      const wanted = batch.map(([partNumber], index) => {
        return { partNumber, checksum: isSigned(kind) ? (checksums[index] ?? null) : null };
      });
      const signed = await bed().storage.sign(token, wanted);
      expect(signed.map(({ partNumber }) => partNumber)).toEqual(batch.map(([partNumber]) => partNumber));
      receipts.push(
        ...(await Promise.all(
          signed.map(async (part, index) => {
            const checksum = checksums[index] ?? null;
            const body = batch[index]?.[1] ?? new Uint8Array();
            const { etag } = await putPart(part, body, kind === "md5" ? checksum : null);
            return { partNumber: part.partNumber, etag, checksum };
          }),
        )),
      );
    }
    return receipts;
  }

  async function storedBytes(key: string): Promise<Buffer> {
    const { client, bucket } = bed().engine;
    const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
    return Buffer.from((await Body?.transformToByteArray()) ?? []);
  }

  test.each(["multipart", "single"] as const)("makes the object of a %s upload", async (method) => {
    const bytes = someBytes(2 * partSize() + 7);
    const wanted = `made/${method} ä+.jpg`;
    const { token, key } = await begin({ key: wanted, size: bytes.length, method, type: "image/jpeg" });
    expect(key).toBe(wanted);
    const receipts = await send(token, method === "single" ? [[1, bytes]] : cut(bytes, partSize()));
    const object = await bed().storage.complete(token, receipts.toReversed());
    expect(object).toMatchObject({ key, size: bytes.length });
    expect(new URL(object.location).search).toBe("");
    expect((await storedBytes(key)).equals(bytes)).toBe(true);
  });

  test.each(["multipart", "single"] as const)("makes the object of an empty %s upload", async (method) => {
    const { token } = await begin({ key: `empty-${method}`, size: 0, method });
    const receipts = await send(token, [[1, new Uint8Array()]]);
    expect(await bed().storage.complete(token, receipts)).toMatchObject({ size: 0 });
  });

  test.each(CHECKSUM_KINDS)(
    "makes an object of parts with the checksum %s, and lists them with it",
    async (kind) => {
      const bytes = someBytes(partSize() + 1);
      const { token } = await begin({ key: `checksum-${kind}`, size: bytes.length, checksum: kind });
      const receipts = await send(token, cut(bytes, partSize()), kind);
      const { parts } = await bed().storage.uploadedParts(token, 0);
      for (const [index, { checksum }] of parts.entries())
        expect([null, receipts[index]?.checksum]).toContain(checksum);
      expect(await bed().storage.complete(token, receipts)).toMatchObject({ size: bytes.length });
    },
  );

  test.each(["multipart", "single"] as const)("completes a %s upload again as before", async (method) => {
    const bytes = someBytes(partSize());
    const { token } = await begin({ key: `twice-${method}`, size: bytes.length, method });
    const receipts = await send(token, [[1, bytes]]);
    const first = await bed().storage.complete(token, receipts);
    expect(await bed().storage.complete(token, receipts)).toEqual(first);
  });

  test("lists no parts of an upload that has none yet", async () => {
    for (const method of ["multipart", "single"] as const) {
      const { token } = await begin({ key: `none-${method}`, size: 10, method });
      expect(await bed().storage.uploadedParts(token, 0)).toEqual({ parts: [], next: null });
    }
  });

  test("lists the part of a single upload once its object is there", async () => {
    const { token } = await begin({ key: "listed-single", size: 10, method: "single" });
    const [receipt] = await send(token, [[1, someBytes(10)]]);
    const { parts, next } = await bed().storage.uploadedParts(token, 0);
    expect(parts).toMatchObject([{ partNumber: 1, etag: receipt?.etag, size: 10 }]);
    expect(next).toBeNull();
    expect(await bed().storage.uploadedParts(token, 1)).toEqual({ parts: [], next: null });
  });

  test("lists the parts that S3 has, page by page, each once and ascending", async () => {
    const count = bed().engine.minPartBytes === 1 ? 1_003 : 3;
    const bytes = someBytes(partSize());
    const { token } = await begin({ key: "pages", size: count * partSize() });
    const wanted = Array.from({ length: count }, (_, index) => [index + 1, bytes] as const);
    const receipts = await send(token, wanted);
    const listed = [];
    let pages = 0;
    for (let after: number | null = 0; after !== null; pages++) {
      const page = await bed().storage.uploadedParts(token, after);
      listed.push(...page.parts);
      after = page.next;
    }
    expect(pages).toBe(Math.ceil(count / 1_000));
    expect(listed.map(({ partNumber, etag }) => ({ partNumber, etag, checksum: null }))).toEqual(receipts);
    expect(new Set(listed.map(({ size }) => size))).toEqual(new Set([bytes.length]));
    const last = await bed().storage.uploadedParts(token, count - 1);
    expect(last.parts.map(({ partNumber }) => partNumber)).toEqual([count]);
  }, 60_000);

  test("takes a part again, and keeps the one sent last", async () => {
    const bytes = someBytes(partSize() + 1);
    const { token, key } = await begin({ key: "again", size: bytes.length });
    const [first, last] = cut(bytes, partSize());
    if (!first || !last) throw new Error("two parts were meant");
    await send(token, [[1, someBytes(partSize()).toReversed()]]);
    const receipts = await send(token, [first, last]);
    await bed().storage.complete(token, receipts);
    expect((await storedBytes(key)).equals(bytes)).toBe(true);
  });

  test("asks for the parts when one is lacking, named twice, or another than S3 has", async () => {
    const bytes = someBytes(partSize() + 1);
    const { token } = await begin({ key: "mismatch", size: bytes.length });
    const [first] = await send(token, cut(bytes, partSize()).slice(0, 1));
    const never = { partNumber: 2, etag: "d41d8cd98f00b204e9800998ecf8427e", checksum: null };
    if (!first) throw new Error("a part was meant");
    await expect(bed().storage.complete(token, [first, never])).rejects.toMatchObject(mismatch);
    const [second] = await send(token, cut(bytes, partSize()).slice(1));
    if (!second) throw new Error("a part was meant");
    for (const wrong of [
      [first],
      [first, first],
      [first, never],
      [first, second, { ...never, partNumber: 3 }],
    ])
      await expect(bed().storage.complete(token, wrong)).rejects.toMatchObject(mismatch);
    expect(await bed().storage.complete(token, [first, second])).toMatchObject({ size: bytes.length });
  });

  test("asks for the part of a single upload whose object is not there, or is another", async () => {
    const { token } = await begin({ key: "early", size: 10, method: "single" });
    const never = { partNumber: 1, etag: "d41d8cd98f00b204e9800998ecf8427e", checksum: null };
    await expect(bed().storage.complete(token, [never])).rejects.toMatchObject(mismatch);
    const receipts = await send(token, [[1, someBytes(10)]]);
    await expect(bed().storage.complete(token, [never])).rejects.toMatchObject(mismatch);
    expect(await bed().storage.complete(token, receipts)).toMatchObject({ size: 10 });
  });

  test("drops an upload, once or twice, and knows it as gone from then on", async () => {
    const bytes = someBytes(partSize());
    const { token, key } = await begin({ key: "aborted", size: bytes.length });
    const receipts = await send(token, [[1, bytes]]);
    await bed().storage.abort(token);
    await bed().storage.abort(token);
    expect(await bed().engine.openUploads(key)).toEqual([]);
    await expect(bed().storage.uploadedParts(token, 0)).rejects.toMatchObject(gone);
    await expect(bed().storage.complete(token, receipts)).rejects.toMatchObject(gone);
  });

  test.each(["multipart", "single"] as const)(
    "leaves the object of a completed %s upload when it is aborted",
    async (method) => {
      const bytes = someBytes(partSize());
      const { token, key } = await begin({ key: `late-abort-${method}`, size: bytes.length, method });
      const receipts = await send(token, [[1, bytes]]);
      await bed().storage.complete(token, receipts);
      await bed().storage.abort(token);
      expect((await storedBytes(key)).equals(bytes)).toBe(true);
    },
  );

  test("aborts the upload that a lost begin left open, and none that has parts", async () => {
    const key = "lost-begin";
    const { token } = await begin({ key, size: 10 });
    await send(token, [[1, someBytes(10)]]);
    const uploadId = randomUUID();
    await begin({ key, size: 10, uploadId });
    expect(await bed().engine.openUploads(key)).toHaveLength(2);
    const again = await begin({ key, size: 10, uploadId, triedForMs: 1_000 });
    expect(await bed().engine.openUploads(key)).toHaveLength(2);
    for (const open of [token, again.token]) await bed().storage.uploadedParts(open, 0);
  });

  test("does not mistake another upload's object for its own", async () => {
    const { client, bucket } = bed().engine;
    const { token, key } = await begin({ key: "foreign", size: 10, method: "single" });
    const { ETag = "" } = await client.send(
      new PutObjectCommand({ Bucket: bucket, Key: key, Body: someBytes(10) }),
    );
    expect(await bed().storage.uploadedParts(token, 0)).toEqual({ parts: [], next: null });
    const receipt = { partNumber: 1, etag: ETag.replaceAll('"', ""), checksum: null };
    await expect(bed().storage.complete(token, [receipt])).rejects.toMatchObject({
      ...permanent,
      code: "VERIFICATION_FAILED",
    });
  });

  test("signs for a part's own bytes only", async () => {
    const bytes = someBytes(partSize() + 5);
    const { token } = await begin({ key: "length", size: bytes.length });
    const [second] = await bed().storage.sign(token, toSign([2]));
    if (!second) throw new Error("nothing was signed");
    await expect(putPart(second, bytes.subarray(0, 6))).rejects.toThrow(/ 403 /);
    await expect(putPart({ ...second, url: second.url.replace("length", "other") }, bytes)).rejects.toThrow(
      / 403 /,
    );
    await putPart(second, bytes.subarray(partSize()));
    expect(second.expiresInMs).toBeGreaterThan(0);
  });

  test("refuses part numbers that the upload doesn't have", async () => {
    const { token } = await begin({ key: "plan", size: 2 * partSize() });
    for (const partNumbers of [[3], [1, 10_000], [0]])
      await expect(bed().storage.sign(token, toSign(partNumbers))).rejects.toMatchObject({
        ...permanent,
        code: "REQUEST_INVALID",
      });
  });

  test("refuses a checksum of another kind than the upload's, and a lacking one", async () => {
    const { token } = await begin({ key: "kind", size: partSize(), checksum: "sha256" });
    const md5 = await checksumOf("md5", someBytes(partSize()));
    for (const checksum of [null, md5])
      await expect(bed().storage.sign(token, [{ partNumber: 1, checksum }])).rejects.toMatchObject({
        ...permanent,
        code: "REQUEST_INVALID",
      });
  });

  test("refuses a token that it has not given", async () => {
    const refused = { ...permanent, code: "TOKEN_INVALID" };
    for (const token of ["x", "{}", "null"]) {
      await expect(bed().storage.sign(token, toSign([1]))).rejects.toMatchObject(refused);
      await expect(bed().storage.uploadedParts(token, 0)).rejects.toMatchObject(refused);
      await expect(bed().storage.abort(token)).rejects.toMatchObject(refused);
    }
  });

  test("refuses a type that is no media type", async () => {
    await expect(begin({ key: "type", size: 1, type: "no type" })).rejects.toMatchObject({
      code: "REQUEST_INVALID",
    });
  });
}

const fault = (kind: FaultKind) => ({ name: "StorageFault", kind });
const mismatch = { ...fault("partsMismatch"), code: "PARTS_MISMATCH" };
const gone = { ...fault("gone"), code: "UPLOAD_GONE" };
const permanent = fault("permanent");
