import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createUploadHandler } from "../../server/index.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { beginIntent, SECRET, startUploadServer, toSign, type UploadServer } from "./upload-server.ts";

let engine: S3Engine;
let server: UploadServer;

beforeAll(async () => {
  engine = await startS3();
  server = await startUploadServer(engine);
});

afterAll(async () => {
  await server.close();
  await engine.close();
});

const malformed = { kind: "permanent", code: "REQUEST_INVALID" };

describe("requests that are none of ours", () => {
  test("an unknown operation is 404", async () => {
    for (const path of ["nothing", "begin/", "", "begin/more", "Begin"]) {
      const response = await server.post(path, {});
      expect([path, response.status]).toEqual([path, 404]);
      expect(await response.json()).toMatchObject({ error: malformed });
    }
  });

  test.each(["GET", "PUT", "DELETE", "OPTIONS"])("%s is 405", async (method) => {
    const response = await fetch(`${server.url}/begin`, { method });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("POST");
    expect(response.headers.get("cache-control")).toBe("no-store");
  });

  test.each([
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain; application/json",
    "application/jsonp",
  ])("%s is 415, so that a form elsewhere can't post", async (type) => {
    const init = { headers: { "content-type": type } };
    expect(await server.refusal("begin", beginIntent(), init)).toMatchObject({ status: 415, ...malformed });
  });

  test("a body of no type is 415, and so is a compressed one", async () => {
    const untyped = { headers: {}, body: new Blob([JSON.stringify(beginIntent())]) };
    expect(await server.refusal("begin", null, untyped)).toMatchObject({ status: 415 });
    const packed = { headers: { "content-type": "application/json", "content-encoding": "gzip" } };
    expect(await server.refusal("begin", beginIntent(), packed)).toMatchObject({ status: 415 });
  });

  test("the content type may have parameters and capitals", async () => {
    const init = { headers: { "content-type": "Application/JSON; charset=UTF-8" } };
    expect((await server.post("begin", beginIntent(), init)).status).toBe(200);
  });

  test.each([
    ["nothing", ""],
    ["a half of it", '{"token":"secret-token"'],
    ["what is not UTF-8", new Uint8Array([0x22, 0xff, 0x22])],
  ])("%s as a body is 400", async (_what, body) => {
    const refusal = await server.refusal("abort", null, { body });
    expect(refusal).toMatchObject({ status: 400, ...malformed });
    expect(refusal.message).toContain("not JSON");
    expect(refusal.message).not.toContain("secret");
  });

  test("a body over the limit is 413, declared or streamed", async () => {
    const body = JSON.stringify({ token: "x".repeat(2 * 1024 * 1024) });
    expect(await server.refusal("abort", null, { body })).toMatchObject({ status: 413, ...malformed });
    const stream = new Blob([body]).stream();
    expect(await server.refusal("abort", null, { body: stream, duplex: "half" })).toMatchObject({
      status: 413,
    });
  });

  test("a body that does not end is refused as soon as it is too large", async () => {
    const { port } = new URL(server.url);
    const socket = connect(Number(port), "127.0.0.1");
    const head =
      "POST /begin HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    socket.write(head);
    const chunk = `10000\r\n${" ".repeat(0x10000)}\r\n`;
    const send = () => {
      while (socket.writable && socket.write(chunk));
    };
    socket.on("drain", send).on("error", () => {});
    send();
    const first = await new Promise<string>((resolve) =>
      socket.once("data", (data) => resolve(data.toString())),
    );
    socket.destroy();
    expect(first).toMatch(/^HTTP\/1\.1 413 /);
  });

  test.each([
    ["begin", beginIntent({ uploadId: "1" }), "uploadId"],
    ["begin", { ...beginIntent(), size: "5" }, "size"],
    ["begin", { ...beginIntent(), size: -1 }, "size"],
    ["begin", { ...beginIntent(), size: 1.5 }, "size"],
    ["begin", { ...beginIntent(), size: 2 ** 53 }, "size"],
    ["begin", { ...beginIntent(), method: "double" }, "method"],
    ["begin", { ...beginIntent(), key: 5 }, "key"],
    ["begin", { ...beginIntent(), triedForMs: undefined }, "triedForMs"],
    ["begin", beginIntent({ type: "text/plain\r\nx-evil: 1" }), "type"],
    ["begin", beginIntent({ type: "text/plän" }), "type"],
    ["sign", { token: "", parts: toSign([1]) }, "token"],
    ["sign", { token: "x".repeat(8_193), parts: toSign([1]) }, "token"],
    ["sign", { token: "x", parts: toSign(Array.from({ length: 65 }, (_, at) => at + 1)) }, "parts"],
    ["sign", { token: "x", parts: [{ partNumber: "1" }] }, "parts.0.partNumber"],
    ["parts", { token: "x" }, "after"],
    ["complete", { token: "x", parts: [{ partNumber: 1, etag: "<evil>" }] }, "parts.0.etag"],
    ["complete", { token: "x", parts: [] }, "parts"],
    ["abort", null, "the body"],
    ["abort", [], "token"],
  ] as const)("%s with a wrong field is 400 and names it: %#", async (operation, body, path) => {
    const refusal = await server.refusal(operation, body);
    expect(refusal).toMatchObject({ status: 400, ...malformed });
    expect(refusal.message).toContain(`(${path} `);
  });

  test("the operator is told", async () => {
    server.errors.length = 0;
    await server.refusal("abort", {});
    expect(server.errors).toMatchObject([
      { error: { name: "RequestRefused" }, context: { operation: "abort", key: null, status: 400 } },
    ]);
  });
});

describe("what begin allows", () => {
  test.each([
    [{ key: "" }, 400, "KEY_INVALID"],
    [{ key: "a/../b" }, 400, "KEY_INVALID"],
    [{ key: "./b" }, 400, "KEY_INVALID"],
    [{ key: "/b" }, 400, "KEY_INVALID"],
    [{ key: "a\u0000b" }, 400, "KEY_INVALID"],
    [{ key: "\ud800" }, 400, "KEY_INVALID"],
    [{ key: "é".repeat(513) }, 400, "KEY_INVALID"],
    [{ size: 10_001, partSize: 1 }, 400, "PART_SIZE_INVALID"],
    [{ size: 10, partSize: 0 }, 400, "PART_SIZE_INVALID"],
    [{ size: 2 ** 52, partSize: 2 ** 32 }, 413, "FILE_TOO_LARGE"],
    [{ size: 10, partSize: 9, method: "single" }, 400, "PART_SIZE_INVALID"],
    [{ size: 6 * 1024 ** 3, partSize: 6 * 1024 ** 3, method: "single" }, 413, "FILE_TOO_LARGE"],
  ] as const)("%j is refused", async (intent, status, code) => {
    expect(await server.refusal("begin", beginIntent(intent))).toMatchObject({
      status,
      kind: "permanent",
      code,
    });
  });

  test("the operator's limits apply", async () => {
    const limits = { minPartBytes: 10, maxObjectBytes: 100 };
    const strict = await startUploadServer(engine, { limits });
    expect(await strict.refusal("begin", beginIntent({ size: 20, partSize: 9 }))).toMatchObject({
      code: "PART_SIZE_INVALID",
    });
    for (const method of ["single", "multipart"] as const)
      expect(await strict.refusal("begin", beginIntent({ size: 101, partSize: 101, method }))).toMatchObject({
        code: "FILE_TOO_LARGE",
      });
    await strict.close();
  });
});

test("invalid options are refused at once", () => {
  const options = {
    client: engine.client,
    bucket: engine.bucket,
    secret: SECRET,
    authorize: (_request: Request, { key }: { key: string }) => ({ key }),
  };
  expect(() => createUploadHandler(options)).not.toThrow();
  for (const wrong of [
    { secret: "x".repeat(31) },
    { secret: [] },
    { secret: [SECRET, "short"] },
    { bucket: "" },
    { signedUrlSeconds: 0 },
    { signedUrlSeconds: 604_801 },
    { signedUrlSeconds: 1.5 },
    { tokenSeconds: Number.NaN },
    { relayIdleSeconds: 0 },
    { relayIdleSeconds: 3_601 },
    { publicEndpoint: "files.example.com" },
  ])
    expect(() => createUploadHandler({ ...options, ...wrong })).toThrow(TypeError);
});

test("an onError that throws changes nothing", async () => {
  const loud = await startUploadServer(engine, {
    onError() {
      throw new Error("no log today");
    },
  });
  expect(await loud.refusal("abort", {})).toMatchObject({ status: 400 });
  await loud.close();
});

test("signed URLs are for the public endpoint", async () => {
  const split = await startUploadServer(engine, { publicEndpoint: "https://files.example.com/s3" });
  const token = await split.begin({ key: "a b/c", size: 1 });
  const { url } = await split.signOne(token, 1);
  expect(url).toMatch(`https://files.example.com/s3/${engine.bucket}/a%20b/c?`);
  await split.close();
});
