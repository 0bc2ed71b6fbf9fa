import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { describe, expect, it } from "vitest";
import { presignGet, presignPut } from "./presign.ts";
import { send, verdict, verdictOf } from "./reply.ts";
import type { Subject } from "./subject.ts";

const ODD_KEYS = [
  "with space/and more ",
  " leading space",
  "plus+plus",
  "ümläut/日本語/😀",
  "100%/%41/%",
  "two//slashes///three/",
  "dots/./and/../back",
  "~tilde~",
  'it\'s (quoted) "twice"',
  "a&b=c?d#e;f:g@h,i!j*k[l]{m}|n\\o^p`q<r>",
];

export function describeObjects(subject: Subject): void {
  describe("objects", () => {
    const at = (Key: string) => ({ Bucket: subject.bucket, Key });

    it("gives back bytes, Content-Type, metadata and ETag", async () => {
      const put = await subject.s3.send(
        new PutObjectCommand({
          ...at("described"),
          Body: "hello",
          ContentType: "text/x-greeting",
          CacheControl: "max-age=60",
          ContentDisposition: 'attachment; filename="hello.txt"',
          Metadata: { owner: "someone", "two-words": "a b" },
        }),
      );
      expect(put.ETag).toBe('"5d41402abc4b2a76b9719d911017c592"');
      const got = await subject.s3.send(new GetObjectCommand(at("described")));
      const head = await subject.s3.send(new HeadObjectCommand(at("described")));
      expect(await got.Body?.transformToString()).toBe("hello");
      for (const answer of [got, head]) {
        expect(answer).toMatchObject({
          ContentLength: 5,
          ContentType: "text/x-greeting",
          CacheControl: "max-age=60",
          ContentDisposition: 'attachment; filename="hello.txt"',
          Metadata: { owner: "someone", "two-words": "a b" },
          ETag: put.ETag,
          AcceptRanges: "bytes",
        });
        expect(answer.LastModified).toBeInstanceOf(Date);
      }
    });

    it("takes Content-Type and metadata from a presigned request too", async () => {
      const command = new PutObjectCommand({ ...at("presigned-type"), Metadata: { owner: "someone" } });
      const url = await getSignedUrl(subject.s3, command);
      const reply = await send(url, {
        method: "PUT",
        headers: { "content-type": "image/x-test" },
        body: "x",
      });
      expect(verdict(reply)).toBe("200");
      const head = await subject.s3.send(new HeadObjectCommand(at("presigned-type")));
      expect(head.ContentType).toBe("image/x-test");
      subject.check("metadata moved into the presigned query", head.Metadata, { owner: "someone" });
    });

    it("calls a typeless object binary/octet-stream", async () => {
      const reply = await send(await presignPut(subject, "typeless"), { method: "PUT", body: "x" });
      expect(verdict(reply)).toBe("200");
      const head = await subject.s3.send(new HeadObjectCommand(at("typeless")));
      subject.check("type of a typeless object", head.ContentType, "binary/octet-stream");
    });

    it("keeps an object of no bytes", async () => {
      const put = await subject.s3.send(new PutObjectCommand({ ...at("empty"), Body: "" }));
      expect(put.ETag).toBe('"d41d8cd98f00b204e9800998ecf8427e"');
      const got = await subject.s3.send(new GetObjectCommand(at("empty")));
      expect(got.ContentLength).toBe(0);
      expect(await got.Body?.transformToString()).toBe("");
    });

    it("overwrites and deletes", async () => {
      for (const Body of ["first", "second!"]) {
        await subject.s3.send(new PutObjectCommand({ ...at("overwritten"), Body }));
      }
      const got = await subject.s3.send(new GetObjectCommand(at("overwritten")));
      expect(await got.Body?.transformToString()).toBe("second!");
      for (const time of ["first", "second"]) {
        expect(await verdictOf(subject.s3.send(new DeleteObjectCommand(at("overwritten")))), time).toBe(
          "204",
        );
      }
      expect(await verdictOf(subject.s3.send(new GetObjectCommand(at("overwritten"))))).toBe("404 NoSuchKey");
      expect(await verdictOf(subject.s3.send(new HeadObjectCommand(at("overwritten"))))).toBe("404 NotFound");
    });

    it.each(ODD_KEYS)("knows the key %j", async (key) => {
      const url = await presignPut(subject, key);
      expect(verdict(await send(url, { method: "PUT", body: key }))).toBe("200");
      const got = await subject.s3.send(new GetObjectCommand(at(key)));
      expect(await got.Body?.transformToString()).toBe(key);
      expect((await send(await presignGet(subject, key), { method: "GET" })).text).toBe(key);
      const listed = await subject.s3.send(new ListObjectsV2Command({ Bucket: subject.bucket, Prefix: key }));
      expect(listed.Contents?.map((object) => object.Key)).toEqual([key]);
    });

    it("allows keys of up to 1,024 bytes", async () => {
      const longest = "ü".repeat(512);
      expect(await verdictOf(subject.s3.send(new PutObjectCommand({ ...at(longest), Body: "x" })))).toBe(
        "200",
      );
      subject.check(
        "key of 1,025 bytes",
        await verdictOf(subject.s3.send(new PutObjectCommand({ ...at(`${longest}x`), Body: "x" }))),
        "400 KeyTooLongError",
      );
    });

    it("knows its buckets", async () => {
      expect(await verdictOf(subject.s3.send(new HeadBucketCommand({ Bucket: subject.bucket })))).toBe("200");
      const none = `${subject.bucket}-none`;
      expect(await verdictOf(subject.s3.send(new HeadBucketCommand({ Bucket: none })))).toBe("404 NotFound");
      const put = subject.s3.send(new PutObjectCommand({ Bucket: none, Key: "x", Body: "x" }));
      expect(await verdictOf(put)).toBe("404 NoSuchBucket");
      const get = subject.s3.send(new GetObjectCommand({ Bucket: none, Key: "x" }));
      expect(await verdictOf(get)).toBe("404 NoSuchBucket");
    });

    it("answers ranges", async () => {
      await subject.s3.send(new PutObjectCommand({ ...at("ranged"), Body: "0123456789" }));
      const read = async (range: string) => {
        const reply = await send(await presignGet(subject, "ranged"), { method: "GET", headers: { range } });
        return reply.status < 300
          ? `${reply.status} ${reply.headers["content-range"]} ${reply.text}`
          : verdict(reply);
      };
      expect(await read("bytes=2-4")).toBe("206 bytes 2-4/10 234");
      expect(await read("bytes=0-0")).toBe("206 bytes 0-0/10 0");
      expect(await read("bytes=7-")).toBe("206 bytes 7-9/10 789");
      expect(await read("bytes=-2")).toBe("206 bytes 8-9/10 89");
      expect(await read("bytes=-20")).toBe("206 bytes 0-9/10 0123456789");
      expect(await read("bytes=8-100")).toBe("206 bytes 8-9/10 89");
      expect(await read("bytes=10-")).toBe("416 InvalidRange");
      subject.check("last zero bytes", await read("bytes=-0"), "416 InvalidRange");
      subject.check("range that is none", await read("lines=1-2"), "200 undefined 0123456789");
    });

    it("answers conditional reads", async () => {
      const { ETag = "" } = await subject.s3.send(new PutObjectCommand({ ...at("conditional"), Body: "x" }));
      const read = async (headers: Record<string, string>) =>
        verdict(await send(await presignGet(subject, "conditional"), { method: "GET", headers }));
      expect(await read({ "if-none-match": ETag })).toBe("304");
      expect(await read({ "if-none-match": '"other"' })).toBe("200");
      expect(await read({ "if-match": ETag })).toBe("200");
      expect(await read({ "if-match": '"other"' })).toBe("412 PreconditionFailed");
    });

    it("writes If-None-Match: * only where nothing is", async () => {
      const write = () =>
        verdictOf(subject.s3.send(new PutObjectCommand({ ...at("once"), Body: "x", IfNoneMatch: "*" })));
      subject.check("If-None-Match: * where nothing is", await write(), "200");
      subject.check("If-None-Match: * where something is", await write(), "412 PreconditionFailed");
    });
  });
}
