/** Copies of a relayed request: Chromium crashes if one of them fails while another is being read. */
import * as v from "valibot";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import type { RequestEntry } from "../../demo/store/server.ts";
import { errorAnswer, relayAnswer } from "../../src/core/http-api.ts";
import { endedEntry, RELAY_ENDED_COOKIE, RELAY_TOKEN_HEADER, relayUrl } from "../../src/core/relay-url.ts";
import { type RelayedAnswer, type RelayedRun, startPut, uploadIdOf } from "./relay-client.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { startProxy } from "./s3-proxy.ts";
import { someBytes, startUploadServer, type UploadServer } from "./upload-server.ts";

const FETCH = "1c2d3e4f-0000-4000-8000-000000000000";

let engine: S3Engine;
let server: UploadServer;
let partSize: number;
let file: Uint8Array;
const log: RequestEntry[] = [];

beforeAll(async () => {
  engine = await startS3((entry) => log.push(entry));
  server = await startUploadServer(engine);
  partSize = Math.max(engine.minPartBytes, 1024 * 1024);
  file = someBytes(3 * partSize);
});

afterAll(async () => {
  await server.close();
  await engine.close();
});

async function begun(key: string, at: UploadServer = server): Promise<string> {
  return at.begin({ key, size: file.length, partSize });
}

/** All three parts in one request, of which only the head is sent yet. */
function startCopy(token: string, headers: Record<string, string> = {}, at = server): RelayedRun {
  const url = relayUrl(at.url, { uploadId: uploadIdOf(token), first: 1, count: 3 }, FETCH);
  const run = startPut(url, { [RELAY_TOKEN_HEADER]: token, "content-length": file.length, ...headers });
  run.request.on("error", () => {});
  onTestFinished(() => void run.request.destroy());
  return run;
}

/** The same, half read. */
async function startReading(token: string, at = server): Promise<RelayedRun> {
  const run = startCopy(token, {}, at);
  run.request.write(file.subarray(0, 1.5 * partSize));
  await vi.waitFor(async () => expect((await server.parts(token)).parts).toHaveLength(1), 10_000);
  return run;
}

function sendRest({ request }: RelayedRun): void {
  request.end(file.subarray(1.5 * partSize));
}

const numbersOf = ({ body }: RelayedAnswer) =>
  v.parse(relayAnswer, body).parts.map(({ partNumber }) => partNumber);

const codeOf = ({ body }: RelayedAnswer) => v.parse(errorAnswer, body).error.code;

/** Whether there is no answer yet, some turns of the loop and a request to the same server later. */
async function isHeld(run: RelayedRun, token: string): Promise<boolean> {
  let isAnswered = false;
  run.answer.then(
    () => {
      isAnswered = true;
    },
    () => {},
  );
  for (let count = 0; count < 3; count++) await server.parts(token);
  return !isAnswered;
}

const release = (token: string, ending: "now" | "afterPart", at = server) =>
  at.post("release", { tokens: [token], fetches: [FETCH], ending });

describe("while one copy is being read, another is not refused", () => {
  test("though its fetch was ended, as its cookie says", async () => {
    const token = await begun("copies/ended");
    const first = await startReading(token);
    const copy = startCopy(token, { cookie: `${RELAY_ENDED_COOKIE}=${endedEntry(FETCH)}` });
    expect(await isHeld(copy, token)).toBe(true);
    sendRest(first);
    expect(numbersOf(await first.answer)).toEqual([1, 2, 3]);
    expect((await copy.answer).status).toBe(200);
  });

  test("though its user has signed out", async () => {
    let isSignedIn = true;
    const strict = await startUploadServer(engine, {
      authorize: (_, { key, operation }) =>
        isSignedIn || operation === "parts" ? { key } : new Response(null, { status: 401 }),
    });
    onTestFinished(strict.close);
    const token = await begun("copies/signed-out", strict);
    const first = await startReading(token, strict);
    isSignedIn = false;
    const copy = startCopy(token, {}, strict);
    expect(await isHeld(copy, token)).toBe(true);
    sendRest(first);
    // The first is stopped before its next part, and both are refused together.
    const answers = await Promise.all([first.answer, copy.answer]);
    expect(answers.map(({ status }) => status)).toEqual([401, 401]);
    expect(answers.map(numbersOf)).toEqual([
      [1, 2],
      [1, 2],
    ]);
  });

  test("though it belongs to an owner who has no place left", async () => {
    const limited = await startUploadServer(engine, {
      authorize: (_, { key }) => ({ key, owner: "ann" }),
      rules: { relaysAtOnce: 1 },
    });
    onTestFinished(limited.close);
    const token = await begun("copies/limited", limited);
    const first = startCopy(token, {}, limited);
    first.request.write(file.subarray(0, 1.5 * partSize));
    const copy = startCopy(token, {}, limited);
    sendRest(first);
    expect((await copy.answer).status).toBe(200);
  });
});

describe("a copy that comes after the answer", () => {
  test("gets the same receipts, and is not read", async () => {
    const token = await begun("copies/late");
    const first = startCopy(token);
    first.request.end(file);
    const { body } = await first.answer;
    const late = await startCopy(token).answer;
    expect([late.status, late.body]).toEqual([200, body]);
  });

  test("at another server is refused unread once S3 has its parts", async () => {
    const other = await startUploadServer(engine);
    onTestFinished(other.close);
    const token = await begun("copies/elsewhere");
    const first = startCopy(token);
    first.request.end(file);
    await first.answer;
    const late = await startCopy(token, {}, other).answer;
    expect([late.status, late.headers.connection]).toEqual([409, "close"]);
  });

  test("of one that has failed is not read either", async () => {
    const token = await begun("copies/failed");
    const first = await startReading(token);
    await release(token, "now");
    expect((await first.answer).status).toBe(409);
    expect((await startCopy(token).answer).status).toBe(409);
  });
});

describe("releasing an upload", () => {
  test("stops what is being read at once, and refuses it with its copies", async () => {
    const token = await begun("copies/released");
    const first = await startReading(token);
    const copy = startCopy(token);
    expect(await isHeld(copy, token)).toBe(true);
    log.length = 0;
    expect((await release(token, "now")).status).toBe(200);
    // Settled means that nothing more is stored: the part that was under way is not.
    expect((await server.parts(token)).parts).toHaveLength(1);
    sendRest(first);
    const answers = await Promise.all([first.answer, copy.answer]);
    expect(answers.map(({ status, headers }) => [status, headers.connection])).toEqual([
      [409, "close"],
      [409, "close"],
    ]);
    expect(answers.map(codeOf)).toEqual(["PARTS_MISMATCH", "PARTS_MISMATCH"]);
    expect((await server.parts(token)).parts).toHaveLength(1);
  });

  test("lets the part under way come to its end, if that is wanted", async () => {
    const token = await begun("copies/after-part");
    const first = await startReading(token);
    const released = release(token, "afterPart");
    first.request.write(file.subarray(1.5 * partSize, 2.2 * partSize));
    expect((await released).status).toBe(200);
    expect((await server.parts(token)).parts).toHaveLength(2);
    const answer = await first.answer;
    expect([answer.status, numbersOf(answer)]).toEqual([409, [1, 2]]);
  });

  test("touches no other upload of the same fetch", async () => {
    const [ended, other] = [await begun("copies/one"), await begun("copies/other")];
    const runs = [await startReading(ended), await startReading(other)] as const;
    await release(ended, "now");
    for (const run of runs) sendRest(run);
    const [first, second] = await Promise.all(runs.map(({ answer }) => answer));
    expect([first?.status, second?.status]).toEqual([409, 200]);
  });

  test("needs its token", async () => {
    expect((await release("v1.e30.e30", "now")).status).toBe(403);
  });

  test("holds what was read in part until copies elsewhere are over", async () => {
    const held = await startUploadServer(engine, { relayHoldSeconds: 2 });
    onTestFinished(held.close);
    const token = await begun("copies/hold", held);
    const first = await startReading(token, held);
    await release(token, "now", held);
    expect(await isHeld(first, token)).toBe(true);
    expect((await first.answer).status).toBe(409);
  });
});

test("a request that is started for the fifth time is ended before the browser fails it at the sixth", async () => {
  const token = await begun("copies/five");
  const first = await startReading(token);
  const copies = Array.from({ length: 4 }, () => startCopy(token));
  const answers = await Promise.all([first, ...copies].map(({ answer }) => answer));
  expect(answers.map(({ status }) => status)).toEqual([502, 502, 502, 502, 502]);
  expect(answers.map(numbersOf)).toEqual(Array(5).fill([1]));
});

test("so is one whose connection has broken in between: the browser counts each start", async () => {
  let ended = 0;
  const counting = await startUploadServer(engine, {
    audit: ({ operation }) => {
      if (operation === "relay") ended += 1;
    },
  });
  onTestFinished(counting.close);
  const token = await begun("copies/broken", counting);
  for (let start = 1; start < 5; start++) {
    const broken = await startReading(token, counting);
    broken.request.destroy();
    await expect(broken.answer).rejects.toThrow();
    await vi.waitFor(() => expect(ended).toBe(start), 10_000);
  }
  const fifth = startCopy(token, {}, counting);
  fifth.request.write(file.subarray(0, 1.5 * partSize));
  const { status, body } = await fifth.answer;
  expect([status, v.parse(relayAnswer, body).parts]).toEqual([502, []]);
});

test("a part that S3 does not take fails no request: another server may read a copy of it", async () => {
  const proxy = await startProxy(engine.endpoint);
  const faulty = await startUploadServer(engine, { client: engine.clientAt(proxy.url, 1) });
  onTestFinished(faulty.close);
  onTestFinished(proxy.close);
  proxy.fault = (request) =>
    request.startsWith("PUT ") ? { when: "before", answer: { status: 503 } } : null;
  const token = await begun("copies/faulty");
  const run = startCopy(token, {}, faulty);
  run.request.end(file);
  const answer = await run.answer;
  expect([answer.status, numbersOf(answer), codeOf(answer)]).toEqual([200, [], "SERVER_ERROR"]);
});
