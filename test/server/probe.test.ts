import { afterAll, beforeAll, expect, test } from "vitest";
import { RELAY_TOKEN_HEADER } from "../../src/core/relay-url.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { startUploadServer, type UploadServer } from "./upload-server.ts";

let engine: S3Engine;
let server: UploadServer;
let token: string;
let isRelayAllowed = true;

beforeAll(async () => {
  engine = await startS3();
  server = await startUploadServer(engine, {
    authorize: (_request, { key, operation }) =>
      operation === "relay" && !isRelayAllowed ? new Response(null, { status: 403 }) : { key },
  });
  token = await server.begin({ key: "probed", size: 1 });
});

afterAll(async () => {
  await server.abort(token);
  await server.close();
  await engine.close();
});

const probe = (bytes: number, headers: Record<string, string> = { [RELAY_TOKEN_HEADER]: token }) =>
  fetch(`${server.url}/probe`, { method: "PUT", headers, body: new Blob([new Uint8Array(bytes)]) });

test("a probe says how many bytes have come through, and keeps none", async () => {
  for (const bytes of [0, 1, 3_000_000]) {
    const answer = await probe(bytes);
    expect([answer.status, await answer.json()]).toEqual([200, { bytes }]);
  }
});

test("a probe is for those whose bytes would be relayed", async () => {
  expect((await probe(1, {})).status).toBe(400);
  expect((await probe(1, { [RELAY_TOKEN_HEADER]: "v1.e30.AAAA" })).status).toBe(403);
  isRelayAllowed = false;
  expect((await probe(1)).status).toBe(403);
  isRelayAllowed = true;
  const posted = await fetch(`${server.url}/probe`, { method: "POST", body: "" });
  expect([posted.status, posted.headers.get("allow")]).toEqual([405, "PUT"]);
});
