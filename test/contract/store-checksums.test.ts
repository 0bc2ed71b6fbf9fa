import { createHash } from "node:crypto";
import {
  type ChecksumAlgorithm,
  type ChecksumType,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { crc32, crc64 } from "hash-wasm";
import { describe, expect, it } from "vitest";
import { verdictOf } from "./reply.ts";
import { BUCKET, TemporaryStore } from "./temporary-store.ts";

type Known = "CRC32" | "CRC32C" | "CRC64NVME" | "SHA256";
type Checksums = { readonly [K in `Checksum${Known}`]?: string };

const HASHES: Readonly<Record<Known, (bytes: Uint8Array) => Promise<string> | string>> = {
  CRC32: (bytes) => crc32(bytes),
  CRC32C: (bytes) => crc32(bytes, 0x82f63b78),
  CRC64NVME: (bytes) => crc64(bytes, "9a6c9329ac4bc9b5"),
  SHA256: (bytes) => createHash("sha256").update(bytes).digest("hex"),
};
const ALGORITHMS = ["CRC32", "CRC32C", "CRC64NVME", "SHA256"] as const;
const BODIES = ["one ", "two ", "three"] as const;

const at = (Key: string) => ({ Bucket: BUCKET, Key });
const digestOf = async (algorithm: Known, bytes: Uint8Array | string) =>
  Buffer.from(await HASHES[algorithm](Buffer.from(bytes)), "hex");
const base64Of = async (algorithm: Known, bytes: Uint8Array | string) =>
  (await digestOf(algorithm, bytes)).toString("base64");
const fieldOf = async (algorithm: Known, bytes: string): Promise<Checksums> => ({
  [`Checksum${algorithm}`]: await base64Of(algorithm, bytes),
});

/** One upload of a test's own store. */
class Upload {
  readonly #subject: TemporaryStore;
  readonly #names: { Bucket: string; Key: string; UploadId: string };

  constructor(subject: TemporaryStore, names: { Bucket: string; Key: string; UploadId: string }) {
    this.#subject = subject;
    this.#names = names;
  }

  static async create(
    subject: TemporaryStore,
    Key: string,
    algorithm?: ChecksumAlgorithm,
    type?: ChecksumType,
  ): Promise<Upload> {
    const created = await subject.s3.send(
      new CreateMultipartUploadCommand({
        ...at(Key),
        ...(algorithm && { ChecksumAlgorithm: algorithm }),
        ...(type && { ChecksumType: type }),
      }),
    );
    return new Upload(subject, { ...at(Key), UploadId: created.UploadId ?? "" });
  }

  put(PartNumber: number, Body: string, checksum: Checksums = {}) {
    return this.#subject.s3.send(new UploadPartCommand({ ...this.#names, PartNumber, Body, ...checksum }));
  }

  async putAll(algorithm: Known): Promise<CompletedPart[]> {
    const parts: CompletedPart[] = [];
    for (const [index, body] of BODIES.entries()) {
      const checksum = await fieldOf(algorithm, body);
      const { ETag } = await this.put(index + 1, body, checksum);
      parts.push({ PartNumber: index + 1, ETag: ETag ?? "", ...checksum });
    }
    return parts;
  }

  complete(Parts: CompletedPart[]) {
    return this.#subject.s3.send(
      new CompleteMultipartUploadCommand({ ...this.#names, MultipartUpload: { Parts } }),
    );
  }

  list() {
    return this.#subject.s3.send(new ListPartsCommand(this.#names));
  }
}

describe.each(ALGORITHMS)("%s", (algorithm) => {
  const field = `Checksum${algorithm}` as const;

  it("of an object is checked, kept, and told to those who ask", async () => {
    const subject = await TemporaryStore.start();
    const put = (checksum: object) =>
      subject.s3.send(new PutObjectCommand({ ...at("object"), Body: "body", ...checksum }));
    expect(await verdictOf(put(await fieldOf(algorithm, "other")))).toBe("400 BadDigest");
    for (const malformed of ["AAAA", "nonsense!", "A".repeat(44)])
      expect(await verdictOf(put({ [field]: malformed }))).toBe("400 InvalidRequest");
    const right = await fieldOf(algorithm, "body");
    expect(await put(right)).toMatchObject({ ...right, ChecksumType: "FULL_OBJECT" });

    await subject.stop();
    await subject.start();
    const asked = { ...at("object"), ChecksumMode: "ENABLED" } as const;
    expect(await subject.s3.send(new HeadObjectCommand(asked))).toMatchObject({
      ...right,
      ChecksumType: "FULL_OBJECT",
    });
    expect((await subject.s3.send(new GetObjectCommand(asked)))[field]).toBe(right[field]);
    const silent = [
      await subject.s3.send(new HeadObjectCommand(at("object"))),
      await subject.s3.send(
        new GetObjectCommand({ ...at("object"), ChecksumMode: "ENABLED", Range: "bytes=1-2" }),
      ),
    ];
    for (const answer of silent) expect([answer[field], answer.ChecksumType]).toEqual([undefined, undefined]);
  });

  it.each(["COMPOSITE", "FULL_OBJECT"] as const)("of an object of parts: %s", async (type) => {
    const subject = await TemporaryStore.start();
    const creating = Upload.create(subject, "parts", algorithm, type);
    if (
      (algorithm === "SHA256" && type === "FULL_OBJECT") ||
      (algorithm === "CRC64NVME" && type === "COMPOSITE")
    ) {
      await expect(creating).rejects.toMatchObject({ name: "InvalidRequest" });
      return;
    }
    const upload = await creating;
    const parts = await upload.putAll(algorithm);
    const listed = await upload.list();
    expect(listed).toMatchObject({ ChecksumAlgorithm: algorithm, ChecksumType: type });
    expect(listed.Parts?.map((part) => part[field])).toEqual(parts.map((part) => part[field]));

    const [first, ...others] = parts;
    const wrong = { ...first, ...(await fieldOf(algorithm, "other")) };
    expect(await verdictOf(upload.complete([wrong, ...others]))).toBe("400 InvalidPart");
    const { [field]: _, ...without } = first ?? {};
    if (type === "COMPOSITE")
      expect(await verdictOf(upload.complete([without, ...others]))).toBe("400 InvalidRequest");

    const digests = await Promise.all(BODIES.map((body) => digestOf(algorithm, body)));
    const value =
      type === "COMPOSITE"
        ? `${await base64Of(algorithm, Buffer.concat(digests))}-3`
        : await base64Of(algorithm, BODIES.join(""));
    const whole = { [field]: value, ChecksumType: type };
    expect(await upload.complete(parts)).toMatchObject(whole);
    expect(await upload.complete(parts)).toMatchObject(whole);
    const head = new HeadObjectCommand({ ...at("parts"), ChecksumMode: "ENABLED" });
    expect(await subject.s3.send(head)).toMatchObject(whole);
  });

  it("is demanded of every part, or calculated if S3 needs no more than that", async () => {
    const subject = await TemporaryStore.start();
    const upload = await Upload.create(subject, "demanded", algorithm);
    const other = algorithm === "SHA256" ? "CRC32C" : "SHA256";
    expect(await verdictOf(upload.put(1, "one", await fieldOf(other, "one")))).toBe("400 InvalidRequest");
    if (algorithm === "CRC64NVME") {
      expect(await upload.put(1, "one")).toMatchObject(await fieldOf(algorithm, "one"));
    } else {
      expect(await verdictOf(upload.put(1, "one"))).toBe("400 InvalidRequest");
    }
    expect(await verdictOf(upload.put(2, "two", await fieldOf(algorithm, "other")))).toBe("400 BadDigest");
    expect((await upload.list()).Parts ?? []).toHaveLength(algorithm === "CRC64NVME" ? 1 : 0);
  });

  it("of a part whose upload has none is checked, and not kept", async () => {
    const subject = await TemporaryStore.start();
    const upload = await Upload.create(subject, "unasked");
    expect(await verdictOf(upload.put(1, "one", await fieldOf(algorithm, "other")))).toBe("400 BadDigest");
    const right = await fieldOf(algorithm, "one");
    const { ETag } = await upload.put(1, "one", right);
    expect((await upload.list()).Parts?.[0]?.[field]).toBeUndefined();
    const part = { PartNumber: 1, ETag: ETag ?? "" };
    expect(await verdictOf(upload.complete([{ ...part, ...right }]))).toBe("400 InvalidPart");
    expect(await verdictOf(upload.complete([part]))).toBe("200");
  });
});

it("two checksums at once are refused, and algorithms that there are not", async () => {
  const subject = await TemporaryStore.start();
  const both = { ...(await fieldOf("CRC32C", "body")), ...(await fieldOf("SHA256", "body")) };
  const put = new PutObjectCommand({ ...at("both"), Body: "body", ...both });
  expect(await verdictOf(subject.s3.send(put))).toBe("400 InvalidRequest");
  await expect(Upload.create(subject, "md4", "MD4" as ChecksumAlgorithm)).rejects.toMatchObject({
    name: "InvalidRequest",
  });
});

it("with SSE-KMS an ETag says nothing of the bytes, and every answer says that it is on", async () => {
  const subject = await TemporaryStore.start({ sse: "aws:kms" });
  const md5 = `"${createHash("md5").update("body").digest("hex")}"`;
  const encrypted = { ServerSideEncryption: "aws:kms" };
  const put = await subject.s3.send(new PutObjectCommand({ ...at("object"), Body: "body" }));
  expect(put).toMatchObject(encrypted);
  expect(put.ETag).toMatch(/^"[\da-f]{32}"$/);
  expect(put.ETag).not.toBe(md5);
  const head = await subject.s3.send(new HeadObjectCommand(at("object")));
  expect(head).toMatchObject({ ...encrypted, ETag: put.ETag });

  const upload = await Upload.create(subject, "parts");
  const part = await upload.put(1, "body");
  expect(part).toMatchObject(encrypted);
  expect(part.ETag).not.toBe(md5);
  const completed = await upload.complete([{ PartNumber: 1, ETag: part.ETag ?? "" }]);
  expect(completed).toMatchObject(encrypted);
  expect(completed.ETag).toMatch(/^"[\da-f]{32}-1"$/);
  expect(await subject.s3.send(new HeadObjectCommand(at("parts")))).toMatchObject({
    ...encrypted,
    ETag: completed.ETag,
  });
  const wrong = new PutObjectCommand({
    ...at("object"),
    Body: "body",
    ContentMD5: "1B2M2Y8AsgTpgAmY7PhCfg==",
  });
  expect(await verdictOf(subject.s3.send(wrong))).toBe("400 BadDigest");
});
