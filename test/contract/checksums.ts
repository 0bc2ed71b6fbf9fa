import { createHash } from "node:crypto";
import { HeadObjectCommand, PutObjectCommand, UploadPartCommand } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { describe, expect, it } from "vitest";
import { Multipart } from "./multipart.ts";
import { send, verdict, verdictOf } from "./reply.ts";
import type { Subject } from "./subject.ts";

/** For this text every CRC is published, as its "check" (https://reveng.sourceforge.io/crc-catalogue/). */
const BODY = "123456789";
const hex = (digits: string) => Buffer.from(digits, "hex").toString("base64");

const KINDS = [
  ["CRC32", "ChecksumCRC32", hex("cbf43926")],
  ["CRC32C", "ChecksumCRC32C", hex("e3069283")],
  ["CRC64NVME", "ChecksumCRC64NVME", hex("ae8b14860a799888")],
  ["SHA256", "ChecksumSHA256", createHash("sha256").update(BODY).digest("base64")],
] as const;

/** The request of a browser: a presigned PUT with the digest in a signed header. */
export function describeChecksums(subject: Subject): void {
  describe("checksums in signed headers", () => {
    const at = (Key: string) => ({ Bucket: subject.bucket, Key });
    const put = async (command: PutObjectCommand | UploadPartCommand, header: string, value: string) => {
      const headers = new Set([header]);
      const url = await getSignedUrl(subject.s3, command as PutObjectCommand, {
        unhoistableHeaders: headers,
        signableHeaders: headers,
      });
      return verdict(await send(url, { method: "PUT", headers: { [header]: value }, body: BODY }));
    };

    describe.each(KINDS)("%s", (algorithm, member, right) => {
      const header = `x-amz-checksum-${algorithm.toLowerCase()}`;
      const wrong = Buffer.from(right, "base64").fill(7).toString("base64");

      it("is checked in an object", async () => {
        const key = `checksum/${algorithm}`;
        const putObject = (value: string) =>
          put(new PutObjectCommand({ ...at(key), [member]: value }), header, value);
        const refusal = await putObject(wrong);
        subject.check(`wrong ${header}, presigned`, refusal, "400 BadDigest");
        if (refusal !== "200")
          expect(await verdictOf(subject.s3.send(new HeadObjectCommand(at(key))))).toBe("404 NotFound");
        expect(await putObject(right)).toBe("200");
      });

      it("is checked in a part", async () => {
        const upload = await Multipart.create(subject, `checksum-parts/${algorithm}`, {
          ChecksumAlgorithm: algorithm,
        });
        const { key, uploadId: UploadId } = upload;
        const putPart = (value: string) =>
          put(new UploadPartCommand({ ...at(key), UploadId, PartNumber: 1, [member]: value }), header, value);
        const refusal = await putPart(wrong);
        subject.check(`wrong ${header} of a part, presigned`, refusal, "400 BadDigest");
        if (refusal !== "200") expect(await upload.parts()).toEqual([]);
        expect(await putPart(right)).toBe("200");
      });
    });
  });
}
