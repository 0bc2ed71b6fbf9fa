import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { Multipart } from "./multipart.ts";
import { presignPart } from "./presign.ts";
import { send, verdict, verdictOf } from "./reply.ts";
import type { Subject } from "./subject.ts";

export function describeParts(subject: Subject): void {
  describe("parts", () => {
    it("bear numbers from 1 to 10,000", async () => {
      const upload = await Multipart.create(subject, "numbers");
      const put = async (partNumber: number) =>
        verdict(await send(await presignPart(subject, upload, partNumber), { method: "PUT", body: "x" }));
      expect(await put(1)).toBe("200");
      expect(await put(10_000)).toBe("200");
      subject.check("part number 0", await put(0), "400 InvalidArgument");
      subject.check("part number 10,001", await put(10_001), "400 InvalidArgument");
      subject.check("part number -1", await put(-1), "400 InvalidArgument");
    });

    it("are replaced by a later one of the same number", async () => {
      const upload = await Multipart.create(subject, "replaced");
      await upload.put(1, Buffer.from("first attempt"));
      const second = await upload.put(1, Buffer.from("second"));
      const parts = await upload.parts();
      expect(parts.map(({ ETag, Size }) => ({ ETag, Size }))).toEqual([{ ETag: second.ETag, Size: 6 }]);
      const first = { PartNumber: 1, ETag: `"${createHash("md5").update("first attempt").digest("hex")}"` };
      subject.check(
        "completed with the ETag of a replaced part",
        await verdictOf(upload.complete([first])),
        "400 InvalidPart",
      );
    });

    it("need an upload", async () => {
      const absent = { key: "without-upload", uploadId: "2~unknownunknownunknownunknownunkn" };
      const url = await presignPart(subject, absent, 1);
      expect(verdict(await send(url, { method: "PUT", body: "x" }))).toBe("404 NoSuchUpload");
    });

    it("belong to their key", async () => {
      const upload = await Multipart.create(subject, "own-key");
      const url = await presignPart(subject, { key: "foreign-key", uploadId: upload.uploadId }, 1);
      subject.check(
        "upload id of another key",
        verdict(await send(url, { method: "PUT", body: "x" })),
        "404 NoSuchUpload",
      );
    });

    it("are listed over more than 1,000", async () => {
      const count = 1_050;
      const upload = await Multipart.create(subject, "many");
      const numbers = Array.from({ length: count }, (_, index) => count - index).values();
      const lane = async () => {
        for (const partNumber of numbers) await upload.put(partNumber, Buffer.from(`part ${partNumber}`));
      };
      await Promise.all(Array.from({ length: 16 }, lane));

      const first = await upload.list();
      expect(first).toMatchObject({ IsTruncated: true, NextPartNumberMarker: "1000", MaxParts: 1000 });
      expect(first.Parts).toHaveLength(1_000);
      const parts = await upload.parts();
      expect(parts.map((part) => part.PartNumber)).toEqual(
        Array.from({ length: count }, (_, index) => index + 1),
      );
      expect(parts.at(-1)).toMatchObject({
        Size: "part 1050".length,
        ETag: `"${createHash("md5").update("part 1050").digest("hex")}"`,
      });

      const page = await upload.list({ PartNumberMarker: "1000", MaxParts: 49 });
      expect(page.Parts?.map((part) => part.PartNumber)).toEqual(
        Array.from({ length: 49 }, (_, index) => 1001 + index),
      );
      expect(page).toMatchObject({ IsTruncated: true, NextPartNumberMarker: "1049" });
      const last = await upload.list({ PartNumberMarker: "1049", MaxParts: 1 });
      expect(last).toMatchObject({ IsTruncated: false, Parts: [{ PartNumber: 1050 }] });
      const more = await upload.list({ MaxParts: 5_000 });
      subject.check(
        "max-parts of 5,000",
        { limit: more.MaxParts, parts: more.Parts?.length },
        { limit: 1000, parts: 1000 },
      );
    }, 60_000);
  });
}
