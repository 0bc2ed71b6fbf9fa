import { createHash, randomBytes } from "node:crypto";
import { CompleteMultipartUploadCommand, GetObjectCommand, HeadObjectCommand } from "@aws-sdk/client-s3";
import { beforeAll, describe, expect, it } from "vitest";
import { MIB, Multipart, PART_BYTES } from "./multipart.ts";
import { presignGet, presignPart } from "./presign.ts";
import { send, verdict, verdictOf } from "./reply.ts";
import type { Subject } from "./subject.ts";

const md5 = (bytes: Buffer) => createHash("md5").update(bytes).digest();

function formOf(given: string | undefined, expected: string): string {
  if (given === expected) return "right";
  return given !== "" && `"${given}"` === expected ? "unquoted" : `wrong: ${given}`;
}

export function describeCompletion(subject: Subject): void {
  const at = (Key: string) => ({ Bucket: subject.bucket, Key });
  const head = (key: string) => subject.s3.send(new HeadObjectCommand(at(key)));

  describe("completing a multipart upload", () => {
    const bodies = [randomBytes(PART_BYTES), randomBytes(PART_BYTES + 1), randomBytes(MIB)] as const;
    const etag = `"${md5(Buffer.concat(bodies.map(md5))).toString("hex")}-3"`;

    describe("whose parts came in any order", () => {
      let upload: Multipart;
      let completed: Awaited<ReturnType<Multipart["complete"]>>;
      beforeAll(async () => {
        upload = await Multipart.create(subject, "completed", {
          ContentType: "video/x-test",
          Metadata: { a: "b" },
        });
        const last = await upload.put(9_000, bodies[2]);
        const first = await upload.put(2, bodies[0]);
        const middle = await upload.put(7, bodies[1]);
        completed = await upload.complete([first, middle, last]);
      }, 30_000);

      it("answers with the object", async () => {
        expect(completed).toMatchObject({ Bucket: subject.bucket, Key: "completed" });
        subject.check("ETag in the answer to Complete", formOf(completed.ETag, etag), "right");
      });

      it("makes an object of them in the order of their numbers", async () => {
        expect(await head("completed")).toMatchObject({
          ContentLength: 2 * PART_BYTES + 1 + MIB,
          ContentType: "video/x-test",
          Metadata: { a: "b" },
          ETag: etag,
        });
        const got = await subject.s3.send(new GetObjectCommand(at("completed")));
        const bytes = Buffer.from((await got.Body?.transformToByteArray()) ?? []);
        expect(bytes.equals(Buffer.concat(bodies))).toBe(true);
      });

      it("lets ranges span parts", async () => {
        const [start, end] = [PART_BYTES - 3, 2 * PART_BYTES + 4];
        const got = await subject.s3.send(
          new GetObjectCommand({ ...at("completed"), Range: `bytes=${start}-${end}` }),
        );
        const bytes = Buffer.from((await got.Body?.transformToByteArray()) ?? []);
        expect(bytes.equals(Buffer.concat(bodies).subarray(start, end + 1))).toBe(true);
      });

      it("can be repeated", async () => {
        const parts = [2, 7, 9_000].map((PartNumber, index) => ({
          PartNumber,
          ETag: `"${md5(bodies[index] ?? Buffer.alloc(0)).toString("hex")}"`,
        }));
        const again = await upload.complete(parts);
        expect(again.$metadata.httpStatusCode).toBe(200);
        expect(again.Key).toBe("completed");
        subject.check("ETag in the answer to a second Complete", formOf(again.ETag, etag), "right");
        expect((await head("completed")).ETag).toBe(etag);
      });

      it("ends the upload", async () => {
        subject.check("ListParts after Complete", await verdictOf(upload.list()), "404 NoSuchUpload");
        const url = await presignPart(subject, upload, 1);
        const late = verdict(await send(url, { method: "PUT", body: "late" }));
        subject.check("UploadPart after Complete", late, "404 NoSuchUpload");
      });
    });

    it("takes some of the parts and drops the others", async () => {
      const upload = await Multipart.create(subject, "subset");
      const first = await upload.put(1, bodies[0]);
      await upload.put(2, bodies[1]);
      const third = await upload.put(3, bodies[2]);
      const answer = await verdictOf(upload.complete([first, third]));
      subject.check("completed with some of the parts", answer, "200");
      if (answer === "200") expect((await head("subset")).ContentLength).toBe(PART_BYTES + MIB);
    }, 30_000);

    it("makes an object of no bytes from one part of none", async () => {
      const upload = await Multipart.create(subject, "nothing");
      await upload.complete([await upload.put(1, Buffer.alloc(0))]);
      expect((await head("nothing")).ContentLength).toBe(0);
      expect(await send(await presignGet(subject, "nothing"), { method: "GET" })).toMatchObject({
        status: 200,
        text: "",
      });
    });

    it("refuses small parts before the last", async () => {
      const upload = await Multipart.create(subject, "small");
      const parts = [await upload.put(1, Buffer.from("small")), await upload.put(2, Buffer.from("last"))];
      expect(await verdictOf(upload.complete(parts))).toBe("400 EntityTooSmall");
      expect(await verdictOf(head("small"))).toBe("404 NotFound");
      expect(await upload.parts()).toHaveLength(2);
    });

    it("refuses a list of parts that differs from those it has", async () => {
      const upload = await Multipart.create(subject, "untrue");
      const first = await upload.put(1, bodies[0]);
      const second = await upload.put(2, bodies[2]);
      const other = { PartNumber: 2, ETag: first.ETag };
      expect(await verdictOf(upload.complete([first, other]))).toBe("400 InvalidPart");
      const absent = { PartNumber: 3, ETag: second.ETag };
      expect(await verdictOf(upload.complete([first, second, absent]))).toBe("400 InvalidPart");
      expect(await verdictOf(head("untrue"))).toBe("404 NotFound");
      subject.check(
        "parts in descending order",
        await verdictOf(upload.complete([second, first])),
        "400 InvalidPartOrder",
      );
    }, 30_000);

    it("refuses an empty list, and a body that is not a list", async () => {
      const upload = await Multipart.create(subject, "malformed");
      await upload.put(1, Buffer.from("x"));
      expect(await verdictOf(upload.complete([]))).toBe("400 MalformedXML");
    });

    it("refuses uploads that it does not have", async () => {
      const upload = await Multipart.create(subject, "known");
      const part = await upload.put(1, Buffer.from("x"));
      const call = subject.s3.send(
        new CompleteMultipartUploadCommand({
          ...at("known"),
          UploadId: "2~unknownunknownunknownunknownunkn",
          MultipartUpload: { Parts: [part] },
        }),
      );
      subject.check("Complete of an unknown upload", await verdictOf(call), "404 NoSuchUpload");
    });
  });

  describe("aborting a multipart upload", () => {
    it("ends it", async () => {
      const upload = await Multipart.create(subject, "aborted");
      const part = await upload.put(1, Buffer.from("x"));
      expect(await verdictOf(upload.abort())).toBe("204");
      subject.check("ListParts after Abort", await verdictOf(upload.list()), "404 NoSuchUpload");
      const url = await presignPart(subject, upload, 2);
      expect(verdict(await send(url, { method: "PUT", body: "late" }))).toBe("404 NoSuchUpload");
      subject.check("Complete after Abort", await verdictOf(upload.complete([part])), "404 NoSuchUpload");
      subject.check("Abort after Abort", await verdictOf(upload.abort()), "404 NoSuchUpload");
      expect(await verdictOf(head("aborted"))).toBe("404 NotFound");
    });
  });
}
