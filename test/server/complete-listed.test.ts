import { createHash, randomUUID } from "node:crypto";
import { GetObjectCommand, ListPartsCommand, type S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CHECKSUM_KINDS, type ChecksumKind } from "../../src/core/checksum.ts";
import { checksumLines, etagLines, type ListedParts } from "../../src/core/listed-parts.ts";
import type { PartReceipt } from "../../src/core/storage.ts";
import { checksumOf } from "./checksum-of.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { cut, someBytes, startUploadServer, type UploadServer } from "./upload-server.ts";

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

const sha256 = (data: string | Uint8Array) => createHash("sha256").update(data).digest("base64");

function listedOf(receipts: readonly PartReceipt[]): ListedParts {
  const isHashed = receipts.every(({ checksum }) => checksum !== null);
  return {
    count: receipts.length,
    etags: sha256(etagLines(receipts)),
    checksums: isHashed ? sha256(checksumLines(receipts)) : null,
  };
}

async function sent(kind: ChecksumKind, key = `listed-${randomUUID()}`, on = server) {
  const token = await on.begin({ key, size: bytes.length, partSize, checksum: kind });
  return { token, key, receipts: await on.put(token, cut(bytes, partSize)) };
}

async function complete(token: string, listed: ListedParts, on = server) {
  const response = await on.post("complete", { token, listed });
  return { status: response.status, body: (await response.json()) as { error?: { code: string } } };
}

async function storedHash(key: string): Promise<string> {
  const { Body } = await engine.client.send(new GetObjectCommand({ Bucket: engine.bucket, Key: key }));
  return sha256((await Body?.transformToByteArray()) ?? new Uint8Array());
}

describe.each(CHECKSUM_KINDS)("by digests of the list: %s", (kind) => {
  test("the object is made of what was sent, and again if the answer was lost", async () => {
    const { token, key, receipts } = await sent(kind);
    const first = await complete(token, listedOf(receipts));
    expect(first).toMatchObject({ status: 200, body: { key, size: bytes.length } });
    expect(await storedHash(key)).toBe(sha256(bytes));
    expect(await complete(token, listedOf(receipts))).toEqual(first);
  });

  test("no object is made where S3 has other parts, or fewer", async () => {
    const { token, receipts } = await sent(kind);
    const [one, ...others] = receipts as [PartReceipt, ...PartReceipt[]];
    const wrong = [
      listedOf([{ ...one, etag: "0".repeat(32) }, ...others]),
      listedOf(others),
      ...(kind === "none"
        ? []
        : [listedOf([{ ...one, checksum: await checksumOf(kind, someBytes(3)) }, ...others])]),
    ];
    for (const listed of wrong)
      expect(await complete(token, listed)).toMatchObject({
        status: 409,
        body: { error: { kind: "partsMismatch", code: "PARTS_MISMATCH" } },
      });
    expect((await server.parts(token)).parts).toHaveLength(3);
    expect(await complete(token, listedOf(receipts))).toMatchObject({ status: 200 });
  }, 30_000);
});

test("a list of several pages is read to its end, and none of it is sent to the server", async () => {
  if (engine.minPartBytes > 1_000) return;
  const many = someBytes(1_300 * 10);
  const key = `many-${randomUUID()}`;
  const token = await server.begin({ key, size: many.length, partSize: 10 });
  const receipts = await server.put(token, cut(many, 10));
  const body = JSON.stringify({ token, listed: listedOf(receipts) });
  expect(body.length).toBeLessThan(10_000);
  const response = await server.post("complete", JSON.parse(body));
  expect(await response.json()).toMatchObject({ key, size: many.length });
  expect(await storedHash(key)).toBe(sha256(many));
}, 60_000);

test("an engine that lists late what it has taken is looked at again", async () => {
  const client = Object.create(engine.client) as S3Client;
  let isLate = true;
  client.send = (async (command: ListPartsCommand, ...rest: never[]) => {
    const answer = await engine.client.send(command, ...rest);
    if (!(command instanceof ListPartsCommand) || !isLate) return answer;
    isLate = false;
    return { ...answer, Parts: answer.Parts?.slice(0, 1) };
  }) as never;
  const late = await startUploadServer({ ...engine, client });
  const { token, receipts } = await sent("md5", undefined, late);
  expect(await complete(token, listedOf(receipts), late)).toMatchObject({ status: 200 });
  expect(isLate).toBe(false);
  await late.close();
});

test("one PUT is completed by its part, and what is no digest is refused", async () => {
  const single = await server.begin({ key: "one", size: 5, method: "single", partSize: 5 });
  const listed = { count: 1, etags: sha256(""), checksums: null };
  expect(await complete(single, listed)).toMatchObject({ status: 400 });
  const { token } = await sent("md5");
  for (const wrong of [
    { ...listed, etags: "" },
    { ...listed, count: 0 },
    { ...listed, count: 10_001 },
  ])
    expect(await complete(token, wrong)).toMatchObject({ status: 400 });
});
