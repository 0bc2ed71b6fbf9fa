import { inspect } from "node:util";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { listen } from "./listen.ts";
import { uploadIdOf } from "./relay-client.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { type FakedAnswer, type S3Proxy, startProxy } from "./s3-proxy.ts";
import { cut, someBytes, startUploadServer, type UploadServer } from "./upload-server.ts";

let engine: S3Engine;
let proxy: S3Proxy;
/** Its client does not try again by itself, so that one faked answer shows. */
let server: UploadServer;

beforeAll(async () => {
  engine = await startS3();
  proxy = await startProxy(engine.endpoint);
  server = await startUploadServer(engine, {
    client: engine.clientAt(proxy.url, 1),
    publicEndpoint: engine.endpoint,
  });
});

afterEach(() => {
  proxy.fault = () => null;
  server.errors.length = 0;
});

afterAll(async () => {
  await server.close();
  await proxy.close();
  await engine.close();
});

const s3Error = (code: string, message = "In S3's words.") =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message></Error>`;
const isComplete = (request: string) => /^POST .*\?uploadId=/.test(request);
const isHead = (request: string) => request.startsWith("HEAD");

async function uploaded(key: string) {
  const bytes = someBytes(20);
  const token = await server.begin({ key, size: bytes.length, partSize: 20 });
  return { token, parts: await server.put(token, cut(bytes, 20)) };
}

/** The next request that matches is answered so, all later ones by S3. */
function once(
  matches: (request: string) => boolean,
  when: "before" | "after",
  answer: FakedAnswer | "lost",
): void {
  let left = 1;
  proxy.fault = (request) => (matches(request) && left-- > 0 ? { when, answer } : null);
}

test.each([
  ["as it is", s3Error("InternalError")],
  ["after the blanks that keep the connection open", `   \n  \n${s3Error("SlowDown")}`],
  ["with a line break at its end, which the SDK overlooks", `${s3Error("InternalError")}\n`],
  ["empty", ""],
])("a 200 from Complete that carries an error, %s, is no success", async (_how, body) => {
  const { token, parts } = await uploaded("ok-but-error");
  once(isComplete, "before", { status: 200, headers: { "content-type": "application/xml" }, body });
  expect(await server.refusal("complete", { token, parts })).toMatchObject({
    status: 503,
    kind: "transient",
    code: "SERVER_ERROR",
  });
  expect(await server.complete(token, parts)).toMatchObject({ size: 20 });
});

test("Retry-After is passed on", async () => {
  const { token, parts } = await uploaded("slow-down");
  once(isComplete, "before", { status: 503, headers: { "retry-after": "7" }, body: s3Error("SlowDown") });
  const refusal = await server.refusal("complete", { token, parts });
  expect(refusal).toMatchObject({ status: 503, kind: "transient", code: "SERVER_ERROR" });
  expect(refusal.headers.get("retry-after")).toBe("7");
});

test("Retry-After may be a date", async () => {
  const { token } = await uploaded("slow-down-date");
  const date = new Date(Date.now() + 30_000).toUTCString();
  once(() => true, "before", {
    status: 429,
    headers: { "retry-after": date },
    body: s3Error("TooManyRequests"),
  });
  const refusal = await server.refusal("parts", { token, after: 0 });
  expect(Number(refusal.headers.get("retry-after"))).toBeGreaterThan(25);
  expect(Number(refusal.headers.get("retry-after"))).toBeLessThanOrEqual(30);
});

test("Complete whose answer was lost is found to be done", async () => {
  const { token, parts } = await uploaded("lost-complete");
  once(isComplete, "after", "lost");
  expect(await server.refusal("complete", { token, parts })).toMatchObject({ status: 502, kind: "network" });
  expect(await server.complete(token, parts)).toMatchObject({ size: 20 });
});

test.each(["NoSuchUpload", "InternalError"])(
  "a finished upload to which S3 says %s is done",
  async (code) => {
    const { token, parts } = await uploaded(`finished-${code}`);
    const object = await server.complete(token, parts);
    once(isComplete, "before", { status: code === "NoSuchUpload" ? 404 : 500, body: s3Error(code) });
    expect(await server.complete(token, parts)).toEqual(object);
  },
);

test("InternalError while the upload is open asks for patience", async () => {
  const { token, parts } = await uploaded("internal");
  once(isComplete, "before", { status: 500, body: s3Error("InternalError") });
  expect(await server.refusal("complete", { token, parts })).toMatchObject({
    status: 503,
    kind: "transient",
  });
});

test.each(["InvalidPart", "InvalidPartOrder", "EntityTooSmall"])("%s asks for the parts", async (code) => {
  const { token, parts } = await uploaded("parts-refused");
  once(isComplete, "before", { status: 400, body: s3Error(code) });
  expect(await server.refusal("complete", { token, parts })).toMatchObject({
    status: 409,
    kind: "partsMismatch",
  });
});

test("an object that can't be seen yet asks for patience", async () => {
  const { token, parts } = await uploaded("unseen");
  once(isHead, "before", { status: 404 });
  expect(await server.refusal("complete", { token, parts })).toMatchObject({
    status: 503,
    kind: "transient",
  });
  expect(await server.complete(token, parts)).toMatchObject({ size: 20 });
});

test.each([
  ["size", { "content-length": "21" }],
  ["maker", { "content-length": "20", "x-amz-meta-backhaul-upload": "someone-else" }],
])("an object of another %s is not passed off as done", async (_what, changed) => {
  const { token, parts } = await uploaded("verified");
  const headers = { etag: '"x-1"', "x-amz-meta-backhaul-upload": uploadIdOf(token), ...changed };
  once(isHead, "before", { status: 200, headers });
  expect(await server.refusal("complete", { token, parts })).toMatchObject({
    status: 409,
    kind: "permanent",
    code: "VERIFICATION_FAILED",
  });
});

test("an ETag without quotes is taken", async () => {
  const { token, parts } = await uploaded("unquoted");
  const headers = { etag: "abc-1", "content-length": "20", "x-amz-meta-backhaul-upload": uploadIdOf(token) };
  once(isHead, "before", { status: 200, headers });
  expect(await server.complete(token, parts)).toMatchObject({ etag: "abc-1" });
});

test.each([
  [403, "AccessDenied", 403, "permanent", "FORBIDDEN"],
  [403, "SignatureDoesNotMatch", 503, "transient", "SERVER_ERROR"],
  [400, "ExpiredToken", 503, "transient", "SERVER_ERROR"],
  [404, "NoSuchBucket", 503, "transient", "SERVER_ERROR"],
  [301, "PermanentRedirect", 503, "transient", "SERVER_ERROR"],
  [404, "NoSuchUpload", 410, "gone", "UPLOAD_GONE"],
  [404, "NoSuchKey", 410, "gone", "UPLOAD_GONE"],
  [500, "InternalError", 503, "transient", "SERVER_ERROR"],
  [503, "ServiceUnavailable", 503, "transient", "SERVER_ERROR"],
] as const)("%i %s from S3 is %i %s for the client", async (status, s3Code, answered, kind, code) => {
  const { token } = await uploaded("mapped");
  once(() => true, "before", { status, body: s3Error(s3Code, "secret-in-s3-message") });
  const refusal = await server.refusal("parts", { token, after: 0 });
  expect(refusal).toMatchObject({ status: answered, kind, code });
  expect(refusal.message).not.toContain("secret-in-s3-message");
  // The operator sees what the client does not.
  expect(server.errors.at(-1)).toMatchObject({
    error: { name: "StorageFault", cause: { name: "S3Failure", code: s3Code, status } },
    context: { operation: "parts", key: "mapped", owner: null, status: answered },
  });
});

test("a proxy's page instead of S3's XML asks for patience", async () => {
  const { token } = await uploaded("html");
  const answer = {
    status: 502,
    headers: { "content-type": "text/html" },
    body: "<html><body><p>Bad</body></html>",
  };
  once(() => true, "before", answer);
  expect(await server.refusal("parts", { token, after: 0 })).toMatchObject({
    status: 503,
    kind: "transient",
  });
});

test("a connection that breaks, or can't be made, is the network's fault", async () => {
  const { token } = await uploaded("broken");
  once(() => true, "before", "lost");
  const network = { status: 502, kind: "network", code: "SERVER_ERROR" };
  expect(await server.refusal("parts", { token, after: 0 })).toMatchObject(network);

  const nobody = await listen(() => {});
  await nobody.close();
  const cutOff = await startUploadServer(engine, { client: engine.clientAt(nobody.url, 1) });
  expect(await cutOff.refusal("parts", { token, after: 0 })).toMatchObject(network);
  expect(cutOff.errors).toMatchObject([{ error: { cause: { code: "ECONNREFUSED", status: null } } }]);
  await cutOff.close();
});

test("S3's error may quote the signed request, which does not reach the log", async () => {
  const { token } = await uploaded("quoted");
  const quoted = "<CanonicalRequest>x-amz-security-token:SESSION</CanonicalRequest>";
  const body = s3Error("SignatureDoesNotMatch").replace("</Error>", `${quoted}</Error>`);
  once(() => true, "before", { status: 403, body });
  await server.refusal("parts", { token, after: 0 });
  expect(inspect(server.errors, { depth: null, showHidden: true })).not.toContain("SESSION");
});
