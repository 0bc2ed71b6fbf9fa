import { createHash, randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { GetObjectCommand, HeadObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { crc32, crc64 } from "hash-wasm";
import { describe, expect, it } from "vitest";
import { MIB, Multipart } from "./multipart.ts";
import { presignPart, presignPut } from "./presign.ts";
import { send, sendHalf, verdict, verdictOf } from "./reply.ts";
import type { Subject } from "./subject.ts";

const BODY = "the bytes themselves";
const digest = (algorithm: string, text: string) => createHash(algorithm).update(text).digest("base64");

const base64 = (hex: string) => Buffer.from(hex, "hex").toString("base64");
const CRC32C = base64(await crc32(BODY, 0x82f63b78));
const CRC64 = base64(await crc64(BODY, "9a6c9329ac4bc9b5"));

export function describeBodies(subject: Subject): void {
  const at = (Key: string) => ({ Bucket: subject.bucket, Key });
  const head = (key: string) => verdictOf(subject.s3.send(new HeadObjectCommand(at(key))));

  describe("digests", () => {
    it("Content-MD5 is checked, for objects and for parts", async () => {
      const upload = await Multipart.create(subject, "md5-parts");
      const urls = [await presignPut(subject, "md5"), await presignPart(subject, upload, 1)];
      for (const url of urls) {
        const put = async (md5: string) =>
          verdict(await send(url, { method: "PUT", headers: { "content-md5": md5 }, body: BODY }));
        expect(await put(digest("md5", "other bytes"))).toBe("400 BadDigest");
        expect(await put("nonsense")).toBe("400 InvalidDigest");
      }
      expect(await head("md5")).toBe("404 NotFound");
      expect(await upload.parts()).toEqual([]);
      for (const url of urls) {
        const headers = { "content-md5": digest("md5", BODY) };
        expect(verdict(await send(url, { method: "PUT", headers, body: BODY }))).toBe("200");
      }
    });

    it.each([
      [
        "x-amz-checksum-sha256",
        { ChecksumSHA256: digest("sha256", BODY) },
        { ChecksumSHA256: digest("sha256", "other") },
      ],
      ["x-amz-checksum-crc32", { ChecksumCRC32: "fMA6NA==" }, { ChecksumCRC32: "AAAAAA==" }],
      ["x-amz-checksum-crc32c", { ChecksumCRC32C: CRC32C }, { ChecksumCRC32C: "AAAAAA==" }],
      ["x-amz-checksum-crc64nvme", { ChecksumCRC64NVME: CRC64 }, { ChecksumCRC64NVME: "AAAAAAAAAAA=" }],
    ])("%s is checked", async (name, right, wrong) => {
      const put = (checksum: object) =>
        verdictOf(subject.s3.send(new PutObjectCommand({ ...at(name), Body: BODY, ...checksum })));
      subject.check(`wrong ${name}`, await put(wrong), "400 BadDigest");
      expect(await put(right)).toBe("200");
    });

    it("come as trailers when the SDK streams", async () => {
      const streaming = subject.client({ requestChecksumCalculation: "WHEN_SUPPORTED" });
      const body = randomBytes(3 * MIB);
      // Of 8 KiB at least, but for the last one: AWS and Swift take no smaller ones.
      const chunks = [body.subarray(0, 8_192), body.subarray(8_192, 200_000), body.subarray(200_000)];
      const put = streaming.send(
        new PutObjectCommand({ ...at("streamed"), Body: Readable.from(chunks), ContentLength: body.length }),
      );
      const answer = await verdictOf(put);
      subject.check("aws-chunked body with a trailer", answer, "200");
      if (answer !== "200") return;
      const got = await subject.s3.send(new GetObjectCommand(at("streamed")));
      expect(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(body)).toBe(true);
      expect(got.ContentEncoding ?? "").not.toContain("aws-chunked");
    });

    it("the SDK's own default checksum is accepted", async () => {
      const client = subject.client({ requestChecksumCalculation: "WHEN_SUPPORTED" });
      expect(await verdictOf(client.send(new PutObjectCommand({ ...at("sdk-default"), Body: BODY })))).toBe(
        "200",
      );
    });
  });

  describe("broken bodies", () => {
    it("an object cut off half-way is not stored, and the old one stays", async () => {
      await subject.s3.send(new PutObjectCommand({ ...at("cut"), Body: "old" }));
      const half = randomBytes(2 * MIB);
      await sendHalf(await presignPut(subject, "cut"), {}, half, 2 * half.length);
      await sendHalf(await presignPut(subject, "cut-new"), {}, half, 2 * half.length);
      const got = await subject.s3.send(new GetObjectCommand(at("cut")));
      expect(await got.Body?.transformToString()).toBe("old");
      expect(await head("cut-new")).toBe("404 NotFound");
    });

    it("a part cut off half-way is not stored, and the old one stays", async () => {
      const upload = await Multipart.create(subject, "cut-parts");
      const old = await upload.put(1, Buffer.from("old"));
      const half = randomBytes(2 * MIB);
      for (const partNumber of [1, 2]) {
        await sendHalf(await presignPart(subject, upload, partNumber), {}, half, 2 * half.length);
      }
      const parts = await upload.parts();
      expect(parts.map(({ PartNumber, ETag, Size }) => ({ PartNumber, ETag, Size }))).toEqual([
        { ...old, Size: 3 },
      ]);
    });

    it("a length is demanded", async () => {
      const headers = { "transfer-encoding": "chunked" };
      const chunked = await send(await presignPut(subject, "chunked"), {
        method: "PUT",
        headers,
        body: BODY,
      });
      subject.check("Transfer-Encoding: chunked", verdict(chunked), "501 NotImplemented");
    });
  });
}
