import {
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListObjectsV2Command,
  type MultipartUpload,
  PutObjectCommand,
} from "@aws-sdk/client-s3";
import { beforeAll, describe, expect, it } from "vitest";
import { Multipart } from "./multipart.ts";
import type { Subject } from "./subject.ts";

export function describeListings(subject: Subject): void {
  describe("ListObjectsV2", () => {
    // In the order of UTF-8 bytes, in which 😀 comes after ﹏; in UTF-16 it would come before.
    const keys = ["listed/a", "listed/b c", "listed/b/c", "listed/z", "listed/ä", "listed/﹏", "listed/😀"];
    beforeAll(async () => {
      for (const Key of keys.toReversed()) {
        await subject.s3.send(new PutObjectCommand({ Bucket: subject.bucket, Key, Body: Key }));
      }
    });

    it("lists by prefix, in order", async () => {
      const page = await subject.s3.send(
        new ListObjectsV2Command({ Bucket: subject.bucket, Prefix: "listed/" }),
      );
      expect(page).toMatchObject({ KeyCount: keys.length, IsTruncated: false, Prefix: "listed/" });
      expect(page.Contents?.map(({ Key, Size }) => ({ Key, Size }))).toEqual(
        keys.map((Key) => ({ Key, Size: Buffer.byteLength(Key) })),
      );
    });

    it("lists page by page", async () => {
      const pages: (string | undefined)[][] = [];
      for (let token: string | undefined, more = true; more; ) {
        const page = await subject.s3.send(
          new ListObjectsV2Command({
            Bucket: subject.bucket,
            Prefix: "listed/",
            MaxKeys: 3,
            ...(token === undefined ? {} : { ContinuationToken: token }),
          }),
        );
        pages.push(page.Contents?.map(({ Key }) => Key) ?? []);
        token = page.NextContinuationToken;
        more = page.IsTruncated === true;
      }
      expect(pages).toEqual([keys.slice(0, 3), keys.slice(3, 6), keys.slice(6)]);
    });

    it("starts after a key", async () => {
      const page = await subject.s3.send(
        new ListObjectsV2Command({ Bucket: subject.bucket, Prefix: "listed/", StartAfter: "listed/z" }),
      );
      expect(page.Contents?.map(({ Key }) => Key)).toEqual(keys.slice(4));
    });
  });

  describe("ListMultipartUploads", () => {
    const prefix = "pending/";
    const uploads: Multipart[] = [];
    const list = (page: object) =>
      subject.s3.send(new ListMultipartUploadsCommand({ Bucket: subject.bucket, Prefix: prefix, ...page }));
    const named = (some: readonly MultipartUpload[] = []) =>
      some.map(({ Key, UploadId }) => `${Key} ${UploadId}`);

    beforeAll(async () => {
      for (const key of ["pending/a", "pending/b", "pending/b", "pending/b", "pending/c d"]) {
        uploads.push(await Multipart.create(subject, key));
      }
      await Multipart.create(subject, "other/a");
    });
    const expected = () => uploads.map(({ key, uploadId }) => `${key} ${uploadId}`).sort();

    it("lists by prefix", async () => {
      const page = await list({});
      expect(named(page.Uploads).sort()).toEqual(expected());
      expect(page.Uploads?.map(({ Key }) => Key)).toEqual(uploads.map(({ key }) => key));
      expect(page.IsTruncated).toBe(false);
      expect(page.Uploads?.[0]?.Initiated).toBeInstanceOf(Date);
    });

    it.each([1, 2])("lists %i to a page, several of one key too", async (MaxUploads) => {
      const found: string[] = [];
      let pages = 0;
      // An engine may give the same page for ever.
      for (let markers: object | null = {}; markers !== null && pages <= uploads.length; pages++) {
        const page: ListMultipartUploadsCommandOutput = await list({ MaxUploads, ...markers });
        expect(page.Uploads?.length ?? 0).toBeLessThanOrEqual(MaxUploads);
        found.push(...named(page.Uploads));
        markers = page.IsTruncated
          ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }
          : null;
      }
      const missing = expected().filter((upload) => !found.includes(upload)).length;
      subject.check(
        `uploads, ${MaxUploads} to a page`,
        { pages, found: found.length, missing },
        { pages: Math.ceil(uploads.length / MaxUploads), found: uploads.length, missing: 0 },
      );
    });

    it("passes over a whole key if the marker names no upload", async () => {
      const page = await list({ KeyMarker: "pending/b" });
      const keys = page.Uploads?.map(({ Key }) => Key);
      subject.check("key marker without an upload id marker", keys, ["pending/c d"]);
    });

    it("forgets those that have ended", async () => {
      const upload = await Multipart.create(subject, "ended/a");
      await upload.abort();
      expect((await list({ Prefix: "ended/" })).Uploads ?? []).toEqual([]);
    });
  });
}
