/** An S3, or whatever stands in its place, that answers with too much, too slowly, or never. */
import type { ServerResponse } from "node:http";
import { S3Client } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { cleanUp } from "../../server/index.ts";
import type { UploadMethod } from "../../src/core/storage.ts";
import { listen } from "./listen.ts";
import { startRun } from "./relay-client.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { startProxy } from "./s3-proxy.ts";
import { beginIntent, startUploadServer, type UploadServer } from "./upload-server.ts";

/** Holds up whoever waits for it until it is opened. */
function gate() {
  let open = () => {};
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open };
}

type Answering = (res: ServerResponse) => void;

let engine: S3Engine;
let hostile: { readonly url: string; close(): Promise<void> };
let client: S3Client;
/** Reaches the hostile S3. */
let server: UploadServer;
const tokens = new Map<UploadMethod, string>();
const tokenOf = (method: UploadMethod) => tokens.get(method) ?? "";
let answerWith: Answering = (res) => void res.destroy();
/** Bytes that the hostile S3 got rid of. */
let written = 0;
let open = 0;

beforeAll(async () => {
  engine = await startS3();
  hostile = await listen((_req, res) => {
    open++;
    res.once("close", () => {
      open--;
    });
    res.on("error", () => {});
    answerWith(res);
  });
  const { credentials } = engine.client.config;
  client = new S3Client({
    region: "us-east-1",
    endpoint: hostile.url,
    forcePathStyle: true,
    credentials,
    maxAttempts: 1,
  });
  server = await startUploadServer(engine, { client, storageTimeoutSeconds: 1, relayIdleSeconds: 1 });
  const honest = await startUploadServer(engine);
  for (const method of ["single", "multipart"] as const)
    tokens.set(method, await honest.begin({ method, size: 5, partSize: 5 }));
  await honest.close();
});

afterEach(() => {
  written = 0;
  server.errors.length = 0;
});

afterAll(async () => {
  await server.close();
  client.destroy();
  await hostile.close();
  await engine.close();
});

const complete = { parts: [{ partNumber: 1, etag: "x" }] };
/** Every call that asks S3. */
const calls = () => [
  ["begin", beginIntent({ size: 5, partSize: 5 })] as const,
  ["begin", beginIntent({ size: 5, partSize: 5, triedForMs: 1_000 })] as const,
  ["parts", { token: tokenOf("multipart"), after: 0 }] as const,
  ["abort", { token: tokenOf("multipart") }] as const,
];
/** One that asks by HEAD, so that there is no body to wait for. */
const headCall = () => ["parts", { token: tokenOf("single"), after: 0 }] as const;

const HEAD = { "content-type": "application/xml" };
const CHUNK = Buffer.alloc(64 * 1024, " ");

const floods: Record<string, Answering> = {
  "a success": (res) => flood(res.writeHead(200, HEAD)),
  "a fault": (res) => flood(res.writeHead(500, HEAD)),
  "a success that declares its length": (res) =>
    flood(res.writeHead(200, { ...HEAD, "content-length": 2 ** 40 })),
};

function flood(res: ServerResponse): void {
  const more = () => {
    while (!res.destroyed) {
      written += CHUNK.length;
      if (!res.write(CHUNK)) return;
    }
  };
  res.on("drain", more);
  more();
}

describe("an answer without end", () => {
  test.each(Object.keys(floods))("is not read beyond 8 MiB: %s", async (name) => {
    answerWith = floods[name] as Answering;
    for (const [operation, body] of calls()) {
      written = 0;
      const { status } = await server.refusal(operation, body);
      expect([502, 503]).toContain(status);
      await vi.waitFor(() => expect(open).toBe(0));
      // And what the kernel has taken.
      expect(written).toBeLessThan(64 * 1024 * 1024);
    }
  });

  test("is not read of a relayed part either", async () => {
    answerWith = floods["a success"] as Answering;
    const token = tokenOf("multipart");
    const run = startRun(server.url, token, { first: 1, count: 1, bytes: 5 });
    run.request.end("12345");
    expect(await run.answer).toMatchObject({
      status: 200,
      body: { parts: [], error: { kind: "transient" } },
    });
    await vi.waitFor(() => expect(open).toBe(0));
    expect(written).toBeLessThan(64 * 1024 * 1024);
  });
});

const waits: Record<string, Answering> = {
  "that never comes": () => {},
  "of which only the head comes": (res) => void res.writeHead(200, HEAD).flushHeaders(),
  "that drips": (res) => {
    res.writeHead(200, HEAD);
    const dripping = setInterval(() => res.write(" "), 20);
    res.once("close", () => clearInterval(dripping));
  },
};

describe("an answer", () => {
  test.each(Object.keys(waits))("%s is waited for until the deadline", async (name) => {
    answerWith = waits[name] as Answering;
    const all = name === "that never comes" ? [...calls(), headCall()] : calls();
    await Promise.all(
      all.map(async ([operation, body]) => {
        const { status, kind } = await server.refusal(operation, body);
        expect({ operation, status, kind }).toEqual({ operation, status: 502, kind: "network" });
      }),
    );
    await vi.waitFor(() => expect(open).toBe(0));
  });

  test("to complete is waited for eight times as long", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const asked = gate();
    answerWith = () => asked.open();
    const token = tokenOf("multipart");
    let isAnswered = false;
    const answered = server.refusal("complete", { token, ...complete }).finally(() => {
      isAnswered = true;
    });
    await asked.passed;
    vi.advanceTimersByTime(7_999);
    await new Promise((resolve) => setImmediate(resolve));
    expect(isAnswered).toBe(false);
    vi.advanceTimersByTime(1);
    expect(await answered).toMatchObject({ status: 502, kind: "network" });
  });

  test("that stands still while a bucket is cleaned up ends the clean-up", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const asked = gate();
    answerWith = () => asked.open();
    const cleaned = cleanUp({ client, bucket: engine.bucket, olderThan: "1h" });
    const ended = expect(cleaned).rejects.toThrow(/SERVER_ERROR/);
    await asked.passed;
    vi.advanceTimersByTime(30_000);
    await ended;
  });

  test.each([0, 901, 1.5])("a deadline of %j s is none", async (storageTimeoutSeconds) => {
    await expect(startUploadServer(engine, { storageTimeoutSeconds })).rejects.toThrow(
      /^storageTimeoutSeconds is /,
    );
  });
});

describe("a client that has gone", () => {
  test("costs S3 no further request", async () => {
    const proxy = await startProxy(engine.endpoint);
    onTestFinished(proxy.close);
    let latest: Request | undefined;
    const patient = await startUploadServer(engine, {
      client: engine.clientAt(proxy.url, 1),
      authorize(request, { key }) {
        latest = request;
        return { key };
      },
    });
    onTestFinished(patient.close);
    const key = "gone/many";
    for (let index = 0; index < 4; index++) await patient.begin({ key, size: 10, partSize: 10 });
    proxy.requests.length = 0;
    const release = gate();
    const listed = gate();
    proxy.fault = async () => {
      listed.open();
      await release.passed;
      return null;
    };
    const gone = new AbortController();
    const begun = patient.begin({ key, size: 10, partSize: 10, triedForMs: 60_000 }, { signal: gone.signal });
    await listed.passed;
    gone.abort();
    await expect(begun).rejects.toThrow(/abort/i);
    await vi.waitFor(() => expect(latest?.signal.aborted).toBe(true));
    release.open();
    await vi.waitFor(() => expect(patient.errors).toHaveLength(1));
    expect(patient.errors).toMatchObject([{ error: { kind: "network", code: "NETWORK" } }]);
    expect(proxy.requests).toHaveLength(1);
    expect(await engine.openUploads(key)).toHaveLength(4);
  });
});
