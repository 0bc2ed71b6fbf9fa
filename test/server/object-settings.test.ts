/** Objects get the headers and metadata that the app sets, and the browser can't change them. */
import { GetObjectCommand, HeadObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { ObjectSettings, UploadPermit } from "../../server/index.ts";
import type { BeginIntent } from "../../src/core/storage.ts";
import { putRun } from "./relay-client.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { beginIntent, putPart, someBytes, startUploadServer, type UploadServer } from "./upload-server.ts";

let engine: S3Engine;
let server: UploadServer;
let settings: ObjectSettings | undefined;

const bytes = someBytes(1_000);
const file = { size: bytes.length, partSize: bytes.length };

beforeAll(async () => {
  engine = await startS3();
  server = await startUploadServer(engine, {
    authorize: (_request, { operation, key }) =>
      operation === "begin" && settings !== undefined ? { key, object: settings } : { key },
  });
});

afterEach(() => {
  settings = undefined;
});

afterAll(async () => {
  await server.close();
  await engine.close();
});

function head(key: string) {
  return engine.client.send(new HeadObjectCommand({ Bucket: engine.bucket, Key: key }));
}

/** A PUT with the signed URL of a single upload, and headers of the sender's own. */
async function putWith(
  intent: Partial<BeginIntent> & { readonly key: string },
  headers: (signed: Readonly<Record<string, string>>) => Readonly<Record<string, string>>,
) {
  const token = await server.begin({ ...file, method: "single", ...intent });
  const { url, headers: signed } = await server.signOne(token, 1);
  const response = await fetch(url, { method: "PUT", headers: headers(signed), body: Buffer.from(bytes) });
  const etag = (response.headers.get("etag") ?? "").replaceAll('"', "");
  await response.arrayBuffer();
  return { token, status: response.status, parts: [{ partNumber: 1, etag, checksum: null }] };
}

describe("the type", () => {
  test.each(["", "image/png"])("%j is signed, so that no other one is stored", async (type) => {
    const key = "object/type";
    const { status } = await putWith({ key, type }, (signed) => ({ ...signed, "content-type": "text/html" }));
    expect(status).toBe(403);
    const { "content-type": _, ...untyped } = (
      await server.signOne(await server.begin({ ...file, key, type, method: "single" }), 1)
    ).headers;
    expect((await putWith({ key, type }, () => untyped)).status).toBe(403);
  });

  test.each(["single", "multipart"] as const)("is said even where it is unknown: %s", async (method) => {
    const key = `object/unknown-${method}`;
    const token = await server.begin({ ...file, key, method });
    await server.complete(token, await server.put(token, [[1, bytes]]));
    expect(await head(key)).toMatchObject({ ContentType: "application/octet-stream" });
  });

  test.each(["single", "multipart"] as const)("is compared at the end: %s", async (method) => {
    const key = `object/compared-${method}`;
    const uploadId = "7e57ab1e-0000-4000-8000-000000000000";
    const token = await server.begin({ ...file, key, method, uploadId, type: "image/png" });
    const parts = await server.put(token, [[1, bytes]]);
    if (method === "multipart") await server.complete(token, parts);
    // Whoever may write to the bucket puts a page in its place.
    await engine.client.send(
      new PutObjectCommand({
        Bucket: engine.bucket,
        Key: key,
        Body: bytes,
        ContentType: "text/html",
        Metadata: { "backhaul-upload": uploadId },
      }),
    );
    expect(await server.refusal("complete", { token, parts })).toMatchObject({
      status: 409,
      code: "VERIFICATION_FAILED",
      message: expect.stringContaining("another Content-Type"),
    });
  });

  test.each(["image/*", "*/*", "image/png*", "unknown/unknown", "Application/Unknown; a=b"])(
    "%j is none that browsers go by",
    async (type) => {
      for (const method of ["single", "multipart"] as const)
        expect(await server.refusal("begin", beginIntent({ ...file, method, type }))).toMatchObject({
          status: 400,
          code: "REQUEST_INVALID",
        });
    },
  );
});

describe("types in which browsers run script", () => {
  const ACTIVE = [
    "image/svg+xml",
    "IMAGE/SVG+XML; charset=utf-8",
    "text/html",
    "text/xml",
    "application/xml",
    "application/xhtml+xml",
    "application/rss+xml",
    "text/xsl",
    "text/javascript",
    "application/x-javascript",
    "application/ecmascript",
  ];

  test("are let in by no pattern, but by their names", async () => {
    const strict = await startUploadServer(engine, {
      rules: { types: ["image/*", "text/*", "application/*", "text/html"] },
    });
    onTestFinished(strict.close);
    for (const type of ACTIVE.filter((each) => each !== "text/html"))
      expect([type, (await strict.refusal("begin", beginIntent({ type }))).status]).toEqual([type, 415]);
    for (const type of ["image/png", "text/plain", "application/pdf", "text/html"])
      await strict.begin({ ...file, type });
  });

  test.each(["single", "multipart"] as const)(
    "are for downloading, unless the app says more: %s",
    async (method) => {
      const stored = async (of: UploadServer, type: string) => {
        const key = `object/active-${method}`;
        const token = await of.begin({ ...file, key, type, method });
        await of.complete(token, await of.put(token, [[1, bytes]]));
        return (await head(key)).ContentDisposition;
      };
      for (const type of ACTIVE) expect([type, await stored(server, type)]).toEqual([type, "attachment"]);
      expect(await stored(server, "image/png")).toBeUndefined();
      settings = { contentDisposition: "inline" };
      expect(await stored(server, "text/html")).toBe("inline");
      const named = await startUploadServer(engine, { rules: { types: ["text/html"] } });
      onTestFinished(named.close);
      expect(await stored(named, "text/html")).toBeUndefined();
    },
  );
});

describe("headers of the app's", () => {
  const wanted: ObjectSettings = {
    cacheControl: "private, max-age=3600",
    contentDisposition: 'attachment; filename="a b.bin"',
    contentEncoding: "gzip",
  };
  const reported = {
    CacheControl: "private, max-age=3600",
    ContentDisposition: 'attachment; filename="a b.bin"',
    ContentEncoding: "gzip",
  };

  test.each(["single", "multipart"] as const)("are stored: %s", async (method) => {
    settings = wanted;
    for (const way of ["direct", "relayed"]) {
      const key = `object/settings-${method}-${way}`;
      const token = await server.begin({ ...file, key, method });
      if (way === "direct") await server.put(token, [[1, bytes]]);
      else await putRun(server.url, token, 1, 1, bytes);
      const { parts } = await server.parts(token);
      await server.complete(
        token,
        parts.map(({ size: _, ...receipt }) => receipt),
      );
      expect(await head(key)).toMatchObject(reported);
    }
  });

  test.each(["cache-control", "content-disposition", "content-encoding"])(
    "are signed, so that the sender can't change %s",
    async (name) => {
      settings = wanted;
      const { status } = await putWith({ key: "object/changed" }, (signed) => ({ ...signed, [name]: "br" }));
      expect(status).toBe(403);
    },
  );

  test.each([
    ["cache-control", "max-age=31536000", "Cache-Control"],
    ["content-disposition", "inline", "Content-Disposition"],
    ["content-encoding", "gzip", "Content-Encoding"],
    ["content-language", "de", "Content-Language"],
    ["expires", "Wed, 21 Oct 2026 07:28:00 GMT", "Expires"],
  ])("and one that nobody asked for is no part of the upload: %s", async (name, value, told) => {
    const { token, parts, status } = await putWith({ key: "object/added" }, (signed) => ({
      ...signed,
      [name]: value,
    }));
    expect(status).toBe(200);
    expect(await server.refusal("complete", { token, parts })).toMatchObject({
      status: 409,
      code: "VERIFICATION_FAILED",
      message: expect.stringContaining(`another ${told}`),
    });
    expect((await server.parts(token)).parts).toEqual([]);
  });

  test.each(["no-cache", "max-age=0"])(
    "but Cache-Control: %s, which browsers add themselves, is",
    async (value) => {
      const { token, parts } = await putWith({ key: "object/reloaded" }, (signed) => ({
        ...signed,
        "cache-control": value,
      }));
      await server.complete(token, parts);
    },
  );

  test("an ACL is signed, so that no other one is taken", async () => {
    settings = { acl: "private" };
    const { status } = await putWith({ key: "object/acl" }, (signed) => {
      expect(signed).toMatchObject({ "x-amz-acl": "private" });
      return { ...signed, "x-amz-acl": "public-read" };
    });
    expect(status).toBe(403);
  });

  test("are the handler's where authorize says nothing else", async () => {
    const general = await startUploadServer(engine, {
      object: { cacheControl: "no-store", contentEncoding: "gzip" },
      authorize: (_request, { operation, key }) =>
        operation === "begin" ? { key, object: { contentEncoding: "br" } } : { key },
    });
    onTestFinished(general.close);
    const key = "object/general";
    const token = await general.begin({ ...file, key, method: "single" });
    await general.complete(token, await general.put(token, [[1, bytes]]));
    expect(await head(key)).toMatchObject({ CacheControl: "no-store", ContentEncoding: "br" });
  });

  test.each([
    { cacheControl: "a\r\nx-amz-acl: public-read" },
    { contentDisposition: 'attachment; filename="ä"' },
    { contentEncoding: " gzip" },
    { cacheControl: "two  blanks" },
    { cacheControl: "" },
    { acl: "everybody" },
    { websiteRedirectLocation: "/" },
  ])("%j can't be had", async (wrong) => {
    settings = wrong as UploadPermit["object"];
    expect(await server.refusal("begin", beginIntent(file))).toMatchObject({ status: 503 });
    await expect(startUploadServer(engine, { object: wrong as ObjectSettings })).rejects.toThrow(
      /^object has /,
    );
  });
});

describe("an object that is there already", () => {
  const get = async (key: string) =>
    (
      await engine.client.send(new GetObjectCommand({ Bucket: engine.bucket, Key: key }))
    ).Body?.transformToString();

  test.each(["single", "multipart"] as const)("is not replaced with ifNoneMatch: %s", async (method) => {
    settings = { ifNoneMatch: true };
    const key = `object/there-${method}`;
    await engine.client.send(new PutObjectCommand({ Bucket: engine.bucket, Key: key, Body: "first" }));
    const token = await server.begin({ ...file, key, method });
    if (method === "single") {
      await expect(server.put(token, [[1, bytes]])).rejects.toThrow(/412/);
    } else {
      const parts = await server.put(token, [[1, bytes]]);
      expect(await server.refusal("complete", { token, parts })).toMatchObject({
        status: 409,
        code: "OBJECT_EXISTS",
      });
    }
    expect(await get(key)).toBe("first");
  });

  test.each(["single", "multipart"] as const)(
    "by the upload itself may be completed again: %s",
    async (method) => {
      settings = { ifNoneMatch: true };
      const key = `object/again-${method}`;
      const token = await server.begin({ ...file, key, method });
      const parts = await server.put(token, [[1, bytes]]);
      const once = await server.complete(token, parts);
      expect(await server.complete(token, parts)).toEqual(once);
    },
  );

  test("is not replaced by the signed URL that has made it", async () => {
    settings = { ifNoneMatch: true };
    const key = "object/url-again";
    const token = await server.begin({ ...file, key, method: "single" });
    const signed = await server.signOne(token, 1);
    await server.complete(token, [await putPart(signed, bytes)]);
    await expect(putPart(signed, bytes)).rejects.toThrow(/412/);
  });
});
