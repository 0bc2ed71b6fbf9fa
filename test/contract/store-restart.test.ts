import { cp, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetBucketCorsCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  PutBucketCorsCommand,
  PutObjectCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { expect, it } from "vitest";
import { verdictOf } from "./reply.ts";
import { BUCKET, TemporaryStore } from "./temporary-store.ts";

const at = (Key: string) => ({ Bucket: BUCKET, Key });

async function read(subject: TemporaryStore, key: string): Promise<string | undefined> {
  const got = await subject.s3.send(new GetObjectCommand(at(key)));
  return got.Body?.transformToString();
}

async function begin(subject: TemporaryStore, key: string, ...bodies: string[]) {
  const { UploadId } = await subject.s3.send(
    new CreateMultipartUploadCommand({ ...at(key), Metadata: { a: "b" } }),
  );
  const parts: CompletedPart[] = [];
  for (const [index, Body] of bodies.entries()) {
    const part = { ...at(key), UploadId, PartNumber: index + 1, Body };
    const { ETag } = await subject.s3.send(new UploadPartCommand(part));
    parts.push({ PartNumber: index + 1, ETag: ETag ?? "" });
  }
  const complete = () =>
    subject.s3.send(
      new CompleteMultipartUploadCommand({ ...at(key), UploadId, MultipartUpload: { Parts: parts } }),
    );
  return { UploadId, complete };
}

it("a restart loses nothing", async () => {
  const subject = await TemporaryStore.start();
  const rule = { AllowedOrigins: ["*"], AllowedMethods: ["PUT"] };
  const cors = { Bucket: BUCKET, CORSConfiguration: { CORSRules: [rule] } };
  await subject.s3.send(new PutBucketCorsCommand(cors));
  await subject.s3.send(
    new PutObjectCommand({ ...at("a//b/../ü"), Body: "plain", ContentType: "text/x-test" }),
  );
  const finished = await begin(subject, "finished", "one ", "two");
  const first = await finished.complete();
  const running = await begin(subject, "running", "three ", "four");

  await subject.stop();
  await subject.start();

  expect((await subject.s3.send(new GetBucketCorsCommand({ Bucket: BUCKET }))).CORSRules).toMatchObject([
    rule,
  ]);
  expect(await read(subject, "a//b/../ü")).toBe("plain");
  expect(await read(subject, "finished")).toBe("one two");
  expect((await finished.complete()).ETag).toBe(first.ETag);
  const listed = await subject.s3.send(
    new ListPartsCommand({ ...at("running"), UploadId: running.UploadId }),
  );
  expect(listed.Parts?.map(({ PartNumber, Size }) => [PartNumber, Size])).toEqual([
    [1, 6],
    [2, 4],
  ]);
  await running.complete();
  const got = await subject.s3.send(new GetObjectCommand(at("running")));
  expect(await got.Body?.transformToString()).toBe("three four");
  expect(got.Metadata).toEqual({ a: "b" });
});

it("a restart sweeps away what a crash left behind", async () => {
  const subject = await TemporaryStore.start();
  const upload = await begin(subject, "crashed", "one ", "two");
  const uploads = join(subject.dataDir, "buckets", BUCKET, "uploads");
  const before = join(subject.dataDir, "before");
  await cp(uploads, before, { recursive: true });
  await upload.complete();
  await subject.stop();

  // As if the store had died with the object written and its upload not yet removed, and in the middle of a body.
  await cp(before, uploads, { recursive: true });
  await mkdir(join(uploads, "never-answered"));
  await writeFile(join(subject.dataDir, "tmp", "half"), "half a bo");
  await writeFile(join(subject.dataDir, "buckets", BUCKET, "blobs", "nobodys"), "bytes");
  await subject.start();

  expect(await read(subject, "crashed")).toBe("one two");
  const pending = await subject.s3.send(new ListMultipartUploadsCommand({ Bucket: BUCKET }));
  expect(pending.Uploads ?? []).toEqual([]);
  expect(await subject.files("uploads")).toEqual([]);
  expect(await subject.files("tmp")).toEqual([]);
  expect(await subject.files("blobs")).toHaveLength(2);
});

it("a bucket that is there is not created anew", async () => {
  const subject = await TemporaryStore.start();
  await subject.s3.send(new PutObjectCommand({ ...at("kept"), Body: "kept" }));
  subject.store.createBucket(BUCKET);
  expect(await read(subject, "kept")).toBe("kept");
  expect(() => subject.store.createBucket("../evil")).toThrow(/not valid/);
});

it("bytes that nobody names any more are deleted", async () => {
  const subject = await TemporaryStore.start();
  for (const Body of ["first", "second"])
    await subject.s3.send(new PutObjectCommand({ ...at("same"), Body }));
  expect(await subject.files("blobs")).toHaveLength(1);
  const upload = await begin(subject, "same", "part ", "other");
  expect(await verdictOf(upload.complete())).toBe("200");
  expect(await subject.files("blobs")).toHaveLength(2);
});
