import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { describe, expect, it } from "vitest";
import { startStore } from "../../demo/store/server.ts";
import { send, sendHalf, verdict, verdictOf } from "./reply.ts";
import { BUCKET, TemporaryStore } from "./temporary-store.ts";

const MIB = 1024 ** 2;
const at = (Key: string) => ({ Bucket: BUCKET, Key });
const presign = (subject: TemporaryStore, key: string) =>
  getSignedUrl(subject.s3, new PutObjectCommand(at(key)), { expiresIn: 60 });

describe("the log", () => {
  it("tells of each part what arrived and when", async () => {
    let now = 1_700_000_000_000;
    const subject = await TemporaryStore.start({ now: () => now++ });
    const signingDate = new Date(now);
    const create = await getSignedUrl(subject.s3, new CreateMultipartUploadCommand(at("logged")), {
      signingDate,
    });
    const uploadId = /<UploadId>(.*?)</.exec((await send(create, { method: "POST" })).text)?.[1] ?? "";
    const part = new UploadPartCommand({ ...at("logged"), UploadId: uploadId, PartNumber: 3 });
    const url = await getSignedUrl(subject.s3, part, { signingDate });
    const headers = {
      origin: "https://app.test",
      "user-agent": "tester",
      "sec-fetch-mode": "cors",
      accept: "*/*",
    };
    await send(url, { method: "PUT", headers, body: "12345" });
    await send(url, { method: "PUT", headers: { "content-md5": "AAAAAAAAAAAAAAAAAAAAAA==" }, body: "12345" });
    expect(subject.entries).toMatchObject([
      { method: "POST", operation: "CreateMultipartUpload", bucket: BUCKET, key: "logged", stored: false },
      {
        method: "PUT",
        operation: "UploadPart",
        key: "logged",
        uploadId,
        partNumber: 3,
        status: 200,
        bytesReceived: 5,
        stored: true,
      },
      { operation: "UploadPart", status: 400, code: "BadDigest", bytesReceived: 5, stored: false },
    ]);
    const [, stored] = subject.entries;
    expect(stored?.headers).toEqual({
      origin: "https://app.test",
      "user-agent": "tester",
      "sec-fetch-mode": "cors",
    });
    expect(stored?.endedAt).toBeGreaterThan(stored?.startedAt ?? Number.POSITIVE_INFINITY);
  });

  it("tells of a body cut off, of which nothing is left", async () => {
    const subject = await TemporaryStore.start();
    const ended = subject.nextEntry();
    await sendHalf(await presign(subject, "cut"), {}, randomBytes(9 * MIB), 20 * MIB);
    const entry = await ended;
    expect(entry).toMatchObject({ operation: "PutObject", key: "cut", status: 0, stored: false });
    expect(entry.code).toBeUndefined();
    expect(entry.bytesReceived).toBeGreaterThan(0);
    expect(entry.bytesReceived).toBeLessThan(20 * MIB);
    expect(await subject.files("tmp")).toEqual([]);
    expect(await subject.files("blobs")).toEqual([]);
    expect(await verdictOf(subject.s3.send(new HeadObjectCommand(at("cut"))))).toBe("404 NotFound");
  });
});

describe("a refused upload", () => {
  it("is answered before its body is through, which is then read to the end", async () => {
    const subject = await TemporaryStore.start();
    const url = new URL((await presign(subject, "refused")).replace("/refused?", "/other?"));
    const request = httpRequest(url, { method: "PUT", headers: { "content-length": 8 * MIB } });
    request.write(randomBytes(MIB));
    const [response] = await once(request, "response");
    expect(response.statusCode).toBe(403);
    const ended = subject.nextEntry();
    request.end(randomBytes(7 * MIB));
    response.resume();
    expect(await ended).toMatchObject({
      code: "SignatureDoesNotMatch",
      bytesReceived: 8 * MIB,
      stored: false,
    });
  });

  it("is told its length is missing", async () => {
    const subject = await TemporaryStore.start();
    const { pathname, search, host } = new URL(await presign(subject, "no-length"));
    const socket = connect(subject.store.port, "127.0.0.1");
    socket.write(`PUT ${pathname}${search} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString()).toMatch(/^HTTP\/1\.1 411 .*MissingContentLength/s);
  });

  it("is told that it is too large before it is sent", async () => {
    const subject = await TemporaryStore.start();
    const url = new URL(await presign(subject, "large"));
    const request = httpRequest(url, { method: "PUT", headers: { "content-length": 5 * 1024 * MIB + 1 } });
    request.on("error", () => {});
    request.flushHeaders();
    const [response] = await once(request, "response");
    expect(response.statusCode).toBe(400);
    expect((await response.toArray()).join("")).toContain("<Code>EntityTooLarge</Code>");
    request.destroy();
  });
});

it("a read goes on while its object is overwritten", async () => {
  const subject = await TemporaryStore.start();
  const body = randomBytes(32 * MIB);
  await subject.s3.send(new PutObjectCommand({ ...at("read"), Body: body }));
  const reading = await subject.s3.send(new GetObjectCommand(at("read")));
  await subject.s3.send(new PutObjectCommand({ ...at("read"), Body: "new" }));
  expect(await subject.files("blobs")).toHaveLength(2);
  const ended = subject.nextEntry();
  expect(Buffer.from((await reading.Body?.transformToByteArray()) ?? []).equals(body)).toBe(true);
  await ended;
  expect(await subject.files("blobs")).toHaveLength(1);
});

it("10,000 parts are completed", async () => {
  const subject = await TemporaryStore.start();
  const { UploadId } = await subject.s3.send(new CreateMultipartUploadCommand(at("many")));
  const part = await subject.s3.send(
    new UploadPartCommand({ ...at("many"), UploadId, PartNumber: 1, Body: "x" }),
  );
  const Parts = Array.from({ length: 10_000 }, (_, index) => ({ PartNumber: index + 1, ETag: part.ETag }));
  const complete = { ...at("many"), UploadId, MultipartUpload: { Parts } };
  // Only one of them is there, but the list itself must pass the parser.
  expect(await verdictOf(subject.s3.send(new CompleteMultipartUploadCommand(complete)))).toBe(
    "400 InvalidPart",
  );
});

it.each([
  ["PUT", "?acl", "501 NotImplemented"],
  ["GET", "?tagging", "501 NotImplemented"],
  ["POST", "", "405 MethodNotAllowed"],
  ["PATCH", "", "405 MethodNotAllowed"],
])("%s of an object%s is refused with %s", async (method, query, expected) => {
  const subject = await TemporaryStore.start();
  const reply = await send(`${subject.store.url}/${BUCKET}/key${query}`, { method });
  expect(verdict(reply)).toBe(expected);
});

it("close ends running uploads and leaves nothing of them", async () => {
  const subject = await TemporaryStore.start();
  const ended = subject.nextEntry();
  const request = httpRequest(new URL(await presign(subject, "running")), {
    method: "PUT",
    headers: { "content-length": 8 * MIB, expect: "100-continue" },
  });
  const failed = once(request, "error");
  request.flushHeaders();
  await once(request, "continue");
  request.write(randomBytes(MIB));
  await subject.stop();
  await failed.catch(() => {});
  expect(await ended).toMatchObject({ key: "running", status: 0, stored: false });
  expect(await subject.files("tmp")).toEqual([]);
});

it("a taken port is refused", async () => {
  const subject = await TemporaryStore.start();
  const { port, accessKeyId, secretAccessKey } = subject.store;
  const second = startStore({ dataDir: subject.dataDir, port, accessKeyId, secretAccessKey });
  await expect(second).rejects.toMatchObject({ code: "EADDRINUSE" });
});
