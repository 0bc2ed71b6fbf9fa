import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { Authorize, UploadIntent } from "../../server/index.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { someBytes, startUploadServer, toSign, type UploadServer } from "./upload-server.ts";

const DAY_MS = 24 * 3_600_000;
const signInFirst = () => new Response(null, { status: 401 });
const asAlice: Authorize = (_request, { key }) => ({ key, owner: "alice" });

let engine: S3Engine;
let server: UploadServer;
let attended: UploadServer;
let authorize: Authorize;
let intents: UploadIntent[];

beforeAll(async () => {
  engine = await startS3();
  server = await start();
  attended = await start(0);
});

beforeEach(() => {
  intents = [];
  authorize = asAlice;
});

afterEach(() => void vi.useRealTimers());

afterAll(async () => {
  await server.close();
  await attended.close();
  await engine.close();
});

function start(unattendedSeconds?: number): Promise<UploadServer> {
  return startUploadServer(engine, {
    authorize(request, intent) {
      intents.push(intent);
      return authorize(request, intent);
    },
    ...(unattendedSeconds !== undefined && { unattendedSeconds }),
  });
}

/** An upload whose one part S3 has, and the body of what completes it. */
async function sentUpload(key: string) {
  const token = await server.begin({ key, size: 4, partSize: 4 });
  const parts = await server.put(token, [[1, someBytes(4)]]);
  intents = [];
  return { token, parts, unattended: true };
}

describe("with nobody signed in any more, its own token", () => {
  test("is enough to see what S3 has of an upload, to send the rest, and to complete it; `authorize` is told", async () => {
    const body = await sentUpload("night");
    authorize = signInFirst;
    const { token } = body;
    expect((await server.post("parts", { token, after: 0, unattended: true })).status).toBe(200);
    expect((await server.post("sign", { token, parts: toSign([1]), unattended: true })).status).toBe(200);
    const answer = await server.post("complete", body);
    expect([answer.status, await answer.json()]).toMatchObject([200, { key: "night", size: 4 }]);
    const known = { key: "night", owner: "alice", size: 4, unattended: true };
    expect(intents).toEqual([
      { operation: "parts", ...known },
      { operation: "sign", ...known },
      { operation: "complete", ...known },
    ]);
  });

  test("is not enough where the client has not said that it asks by it", async () => {
    const { unattended: _, ...body } = await sentUpload("silent");
    authorize = signInFirst;
    expect(await server.refusal("complete", body)).toMatchObject({ status: 401, kind: "unauthorized" });
    expect(intents).toEqual([{ operation: "complete", key: "silent", owner: "alice", size: 4 }]);
  });

  test("is not enough to abort", async () => {
    const { token } = await sentUpload("more");
    authorize = signInFirst;
    expect(await server.refusal("abort", { token, unattended: true })).toMatchObject({ status: 401 });
    expect(intents.some((intent) => "unattended" in intent)).toBe(false);
  });

  test("is enough for an app that lets strangers in, under no name", async () => {
    const body = await sentUpload("stranger");
    authorize = (_request, { key }) => ({ key });
    expect((await server.post("complete", body)).status).toBe(200);
  });

  test.each([
    ["another user is signed in", () => ({ key: "refused", owner: "bob" }), 403],
    ["the app forbids it", () => new Response(null, { status: 403 }), 403],
    ["the app wants it later", () => new Response(null, { status: 429 }), 429],
    ["the app redirects", () => Response.redirect("https://example.com/suspended", 302), 401],
    ["the app names another key", () => ({ key: "other", owner: "alice" }), 403],
  ] as const)("is not enough if %s", async (_what, answer, status) => {
    const body = await sentUpload("refused");
    authorize = answer;
    expect(await server.refusal("complete", body)).toMatchObject({ status });
  });

  test("is not enough a day after it was issued, when it is for its user to end the upload", async () => {
    const body = await sentUpload("late");
    authorize = signInFirst;
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + DAY_MS });
    expect(await server.refusal("complete", body)).toMatchObject({ status: 401, code: "UNAUTHORIZED" });
    vi.useRealTimers();
    authorize = asAlice;
    expect((await server.post("complete", body)).status).toBe(200);
  });

  test("is not enough on a server with `unattendedSeconds: 0`, whichever server has issued it", async () => {
    const body = await sentUpload("never");
    authorize = signInFirst;
    expect(await attended.refusal("complete", body)).toMatchObject({ status: 401 });
  });

  test("is not enough for an upload whose permit said so", async () => {
    authorize = (_request, { key }) => ({ key, owner: "alice", unattended: false });
    const body = await sentUpload("attended");
    authorize = signInFirst;
    expect(await server.refusal("complete", body)).toMatchObject({ status: 401 });
  });
});
