/** Relayed requests that hold on to what others need. */
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { S3Client } from "@aws-sdk/client-s3";
import * as v from "valibot";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { errorAnswer, relayAnswer } from "../../src/core/http-api.ts";
import { putRun, type RelayedAnswer, type RelayedRun, startRun } from "./relay-client.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { startTcpProxy } from "./tcp-proxy.ts";
import { someBytes, startUploadServer, type UploadServer } from "./upload-server.ts";

const USER = "x-user";

let engine: S3Engine;

beforeAll(async () => {
  engine = await startS3();
});

afterAll(async () => {
  await engine.close();
});

const byUser: Parameters<typeof startUploadServer>[1] = {
  authorize: (request, { key }) => ({ key, owner: request.headers.get(USER) ?? "nobody" }),
};

const as = (user: string) => ({ headers: { "content-type": "application/json", [USER]: user } });

/** A single PUT of 100 kB that has sent its first byte. */
async function startDrip(server: UploadServer, key: string, user: string): Promise<RelayedRun> {
  const size = 100_000;
  const token = await server.begin({ key, size, partSize: size, method: "single" }, as(user));
  const drip = startRun(server.url, token, { first: 1, count: 1, bytes: size, headers: { [USER]: user } });
  drip.request.on("error", () => {}).write("x");
  onTestFinished(() => void drip.request.destroy());
  return drip;
}

function refusalOf({ status, body, headers }: RelayedAnswer) {
  const { kind, code } = v.parse(errorAnswer, body).error;
  return { status, kind, code, retryAfter: headers["retry-after"] };
}

describe("connections to S3", () => {
  test.each([
    ["agents by their options", { httpAgent: { maxSockets: 2 } }],
    ["agents", { httpAgent: new HttpAgent({ maxSockets: 2 }), httpsAgent: new HttpsAgent() }],
  ])("relayed requests leave those of the app's client alone: %s", async (_what, requestHandler) => {
    const tcp = await startTcpProxy(engine.endpoint);
    onTestFinished(tcp.close);
    const { region, credentials } = engine.client.config;
    const client = new S3Client({
      region,
      credentials,
      endpoint: tcp.url,
      forcePathStyle: true,
      requestHandler,
    });
    onTestFinished(() => client.destroy());
    const server = await startUploadServer(engine, { client });
    onTestFinished(server.close);
    const open = tcp.open;
    for (let index = 0; index < 4; index++) await startDrip(server, `fair/pool-${index}`, "ann");
    await vi.waitFor(() => expect(tcp.open).toBe(open + 4));
    await server.begin({ key: "fair/other", size: 10 });
  });
});

describe("many requests of one owner", () => {
  test("are refused above the limit, while another owner's go on", async () => {
    const server = await startUploadServer(engine, { ...byUser, rules: { relaysAtOnce: 2 } });
    onTestFinished(server.close);
    const drips = await Promise.all(["a", "b", "c"].map((name) => startDrip(server, `fair/${name}`, "ann")));
    const refused = await Promise.race(drips.map(({ answer }) => answer));
    expect(refusalOf(refused)).toEqual({
      status: 429,
      kind: "transient",
      code: "RATE_LIMITED",
      retryAfter: "30",
    });

    const bytes = someBytes(1_000);
    const intent = { key: "fair/bob", size: 1_000, partSize: 1_000, method: "single" } as const;
    const token = await server.begin(intent, as("bob"));
    const run = startRun(server.url, token, { first: 1, count: 1, bytes: 1_000, headers: { [USER]: "bob" } });
    run.request.end(bytes);
    expect((await run.answer).status).toBe(200);

    // A place becomes free when its request ends.
    for (const { request } of drips) request.destroy();
    await vi.waitFor(async () => {
      const next = startRun(server.url, await server.begin({ ...intent, key: "fair/d" }, as("ann")), {
        first: 1,
        count: 1,
        bytes: 1_000,
        headers: { [USER]: "ann" },
      });
      next.request.end(bytes);
      expect((await next.answer).status).toBe(200);
    });
  });

  test("are sixteen by default", async () => {
    const server = await startUploadServer(engine, byUser);
    onTestFinished(server.close);
    const drips = await Promise.all(
      Array.from({ length: 17 }, (_, index) => startDrip(server, `fair/default-${index}`, "ann")),
    );
    const { status } = await Promise.race(drips.map(({ answer }) => answer));
    expect(status).toBe(429);
  });

  test.each([0, -1, 1.5, Number.NaN, "5"])("a limit of %j is none", async (relaysAtOnce) => {
    const options = { rules: { relaysAtOnce: relaysAtOnce as number } };
    await expect(startUploadServer(engine, options)).rejects.toThrow(/^relaysAtOnce is /);
  });
});

describe("copies of one request, as Chromium makes them", () => {
  test("wait unread for the first, and share its result", async () => {
    const server = await startUploadServer(engine, { ...byUser, rules: { relaysAtOnce: 1 } });
    onTestFinished(server.close);
    const bytes = someBytes(100_000);
    const intent = { key: "fair/copies", size: bytes.length, partSize: bytes.length } as const;
    const token = await server.begin({ ...intent, method: "single" }, as("ann"));
    const range = { first: 1, count: 1, bytes: bytes.length, headers: { [USER]: "ann" } };
    const first = startRun(server.url, token, range);
    first.request.write(bytes.subarray(0, 50_000));
    const copies = [startRun(server.url, token, range), startRun(server.url, token, range)];
    // Only their heads are sent, so that an answer means that nobody has read them.
    first.request.end(bytes.subarray(50_000));
    const answers = await Promise.all([first, ...copies].map(({ answer }) => answer));
    for (const { request } of copies) request.destroy();
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    const [parts] = answers.map(({ body }) => v.parse(relayAnswer, body).parts);
    expect(answers.map(({ body }) => v.parse(relayAnswer, body).parts)).toEqual([parts, parts, parts]);
  });

  test("take over when the first one's client has gone", async () => {
    const server = await startUploadServer(engine, byUser);
    onTestFinished(server.close);
    const bytes = someBytes(100_000);
    const intent = { key: "fair/taken-over", size: bytes.length, partSize: bytes.length } as const;
    const token = await server.begin({ ...intent, method: "single" }, as("ann"));
    const range = { first: 1, count: 1, bytes: bytes.length, headers: { [USER]: "ann" } };
    const first = startRun(server.url, token, range);
    first.request.on("error", () => {}).write(bytes.subarray(0, 50_000));
    const copy = startRun(server.url, token, range);
    copy.request.end(bytes);
    first.request.destroy();
    expect((await copy.answer).status).toBe(200);
  });
});

describe("the least rate", () => {
  test("a client that only drips is sent away", async () => {
    const server = await startUploadServer(engine, { relayIdleSeconds: 1 });
    onTestFinished(server.close);
    const drip = await startDrip(server, "fair/drip", "ann");
    const dripping = setInterval(() => drip.request.write("x"), 50);
    const answer = await drip.answer.finally(() => clearInterval(dripping));
    expect(refusalOf(answer)).toMatchObject({ status: 408, kind: "network", code: "NETWORK" });
    expect(answer.headers.connection).toBe("close");
  });

  test.each([0, 1.5, 2 ** 21])("a least rate of %j is refused", async (relayBytesPerSecond) => {
    await expect(startUploadServer(engine, { relayBytesPerSecond })).rejects.toThrow(
      /^relayBytesPerSecond is /,
    );
  });
});

describe("authorize", () => {
  test("is asked again before each part, and ends a request whose user has signed out", async () => {
    let asked = 0;
    const partSize = Math.max(engine.minPartBytes, 100_000);
    const server = await startUploadServer(engine, {
      authorize(_request, { operation, key }) {
        if (operation !== "relay") return { key };
        asked++;
        return asked <= 2 ? { key } : new Response(null, { status: 401 });
      },
    });
    onTestFinished(server.close);
    const bytes = someBytes(4 * partSize);
    const token = await server.begin({ key: "fair/signed-out", size: bytes.length, partSize });
    const { status, body } = await putRun(server.url, token, 1, 4, bytes);
    expect(status).toBe(401);
    expect(v.parse(errorAnswer, body).error.kind).toBe("unauthorized");
    expect(v.parse(relayAnswer, body).parts.map(({ partNumber }) => partNumber)).toEqual([1, 2]);
    expect(asked).toBe(3);
  });
});
