import { beforeEach, describe, expect, test } from "vitest";
import type { SignedPart } from "../../src/core/storage.ts";
import {
  fetchWhole,
  type PutOptions,
  postJson,
  putPart,
  type Transport,
} from "../../sw/platform/transport.ts";
import { endlessBody, noAnswer, ScriptedFetch } from "../support/scripted-fetch.ts";
import { settlementOf } from "../support/settlement.ts";
import { virtualClock } from "../support/virtual-clock.ts";
import { VirtualTime } from "../support/virtual-time.ts";

const EPOCH = Date.UTC(2027, 0, 15, 8, 0, 0);
const signed: SignedPart = {
  partNumber: 1,
  url: "https://s3.test/b/a.jpg?partNumber=1",
  headers: { "x-amz-checksum-crc32c": "AAAAAA==" },
  expiresInMs: 900_000,
};
const body = new Blob(["hello"]);

let time: VirtualTime;
let network: ScriptedFetch;
let transport: Transport;
beforeEach(() => {
  time = new VirtualTime();
  network = new ScriptedFetch();
  transport = { clock: virtualClock(time, EPOCH), fetch: network.fetch };
});

const put = (more: Partial<PutOptions> = {}) =>
  putPart(transport, signed, body, {
    headers: {},
    signal: new AbortController().signal,
    timeoutMs: 5_000,
    ...more,
  });
const post = (headers = {}) =>
  postJson(
    transport,
    new URL("https://app.test/up/begin"),
    { a: 1 },
    { headers, credentials: "same-origin", timeoutMs: 5_000 },
  );
const whole = () => fetchWhole(transport, new Request("https://s3.test/b?uploads"), 5_000);

describe.each([
  ["a PUT", put],
  ["a POST", post],
  ["a request of the SDK's", whole],
])("%s", (_what, send) => {
  test("that gets no answer in its time has stalled", async () => {
    network.answer(noAnswer);
    const sent = settlementOf<unknown>(send());
    await time.runUntil(4_999);
    expect(sent.state).toBe("pending");
    await time.runUntil(5_000);
    expect(sent.error).toMatchObject({ name: "StorageFault", kind: "network", code: "STALLED" });
  });

  test("that can't be sent is the network's fault, and says why", async () => {
    const cause = new TypeError("Failed to fetch");
    network.answer(cause);
    await expect(send()).rejects.toMatchObject({ kind: "network", code: "NETWORK", cause });
    // Its deadline is gone with it.
    expect(time.nextAt).toBeUndefined();
  });

  test("never comes from a cache", async () => {
    network.answer(new Response("{}"));
    await send();
    expect(network.requests[0]?.init).toMatchObject({ cache: "no-store" });
    expect(time.nextAt).toBeUndefined();
  });
});

describe.each([
  ["a POST", post],
  ["a request of the SDK's", whole],
  ["a refused PUT", () => put()],
])("the answer's body of %s", (what, send) => {
  test("has the same deadline", async () => {
    const status = what.includes("PUT") ? 503 : 200;
    network.answer((request) => new Response(endlessBody(request).body, { status }));
    const sent = settlementOf<unknown>(send());
    await time.runUntil(4_999);
    expect(sent.state).toBe("pending");
    await time.runUntil(5_000);
    expect(sent.error).toMatchObject({ kind: "network", code: "STALLED" });
  });

  test("may break off, which is the network's fault", async () => {
    const broken = new ReadableStream({ pull: (controller) => controller.error(new TypeError("reset")) });
    network.answer(new Response(broken, { status: 500 }));
    await expect(send()).rejects.toMatchObject({ kind: "network", code: "NETWORK" });
  });
});

describe("a PUT", () => {
  test("carries the bytes and the signed headers, and nothing that tells who sends it", async () => {
    network.answer(new Response(null, { headers: { etag: '"abc"' } }));
    await put({ headers: { "content-md5": "q==" } });
    expect(network.requests).toMatchObject([
      {
        url: signed.url,
        init: {
          method: "PUT",
          headers: { ...signed.headers, "content-md5": "q==" },
          credentials: "omit",
          referrerPolicy: "no-referrer",
        },
      },
    ]);
    expect(network.requests[0]?.init.body).toBe(body);
  });

  test("ends when it is called off", async () => {
    const abort = new AbortController();
    network.answer(noAnswer);
    const sent = settlementOf(put({ signal: abort.signal }));
    await time.runUntil(1_000);
    abort.abort();
    await time.settle();
    expect(sent.error).toMatchObject({ kind: "network", code: "NETWORK" });
    expect(time.nextAt).toBeUndefined();
  });

  test.each([
    ['"abc-3"', "abc-3"],
    ['W/"abc"', "abc"],
    ["abc", "abc"],
    ['""', null],
    [undefined, null],
  ])("is answered with the ETag %s: %s", async (header, etag) => {
    network.answer(new Response(null, { headers: header === undefined ? {} : { etag: header } }));
    expect(await put()).toEqual({ status: 200, etag, retryAfterMs: undefined });
  });

  test("does not wait for the body of an answer that says all is well", async () => {
    network.answer(endlessBody);
    expect(await put()).toMatchObject({ status: 200 });
  });

  test.each([
    ["<Error><Code>SlowDown</Code><Message>x</Message></Error>", "SlowDown"],
    ["<Error><Code></Code></Error>", undefined],
    [`<Error><Code>${"A".repeat(65)}</Code></Error>`, undefined],
    ["<Error><Code>a b</Code></Error>", undefined],
    ["<html>blocked</html>", undefined],
    ["", undefined],
  ])("that is refused with %s has S3's code %s", async (xml, s3Code) => {
    network.answer(new Response(xml, { status: 503 }));
    expect(await put()).toMatchObject({ status: 503, s3Code, etag: null });
  });
});

describe("Retry-After", () => {
  test.each([
    ["120", 120_000],
    ["Fri, 15 Jan 2027 08:01:30 GMT", 90_000],
    ["Fri, 15 Jan 2027 07:00:00 GMT", 0],
    ["999999", 3_600_000],
    ["-5", undefined],
    ["soon", undefined],
  ])("%s reaches whoever asked, in milliseconds by this device's clock", async (header, retryAfterMs) => {
    const answer = () => new Response("{}", { status: 503, headers: { "retry-after": header } });
    network.answer(answer, answer);
    expect(await put()).toMatchObject({ status: 503, retryAfterMs });
    expect(await post()).toMatchObject({ status: 503, retryAfterMs });
  });
});

describe("a POST", () => {
  test("carries JSON and the app's headers, and can't be made to carry something else", async () => {
    network.answer(new Response("{}"));
    await post({ authorization: "Bearer 1", "content-type": "text/plain" });
    expect(network.requests).toMatchObject([
      {
        url: "https://app.test/up/begin",
        init: {
          method: "POST",
          headers: { authorization: "Bearer 1", "content-type": "application/json" },
          body: '{"a":1}',
        },
      },
    ]);
  });

  test.each([
    ['{"token":"t"}', { token: "t" }],
    ["null", null],
    ["", undefined],
    ["<html>", undefined],
    ['{"token":', undefined],
  ])("is answered with %s as JSON", async (text, json) => {
    network.answer(new Response(text, { status: 418 }));
    expect(await post()).toEqual({ status: 418, json, retryAfterMs: undefined, isRedirect: false });
  });

  test.each([301, 302, 307])("is not sent elsewhere by a %i, which is told", async (status) => {
    network.answer(new Response(null, { status, headers: { location: "https://app.test/login" } }));
    expect(await post()).toMatchObject({ status, isRedirect: true });
    expect(network.requests.map(({ init }) => init.redirect)).toEqual(["manual"]);
  });
});

describe("a request of the SDK's", () => {
  test("carries neither cookies nor referrer", async () => {
    network.answer(new Response("<xml/>"));
    await whole();
    expect(network.requests[0]?.init).toMatchObject({ credentials: "omit", referrerPolicy: "no-referrer" });
  });

  test("is answered with status, headers and the whole body", async () => {
    network.answer(new Response("<xml/>", { status: 404, headers: { "x-amz-request-id": "7" } }));
    const answer = await whole();
    expect([answer.status, answer.headers.get("x-amz-request-id"), await answer.text()]).toEqual([
      404,
      "7",
      "<xml/>",
    ]);
  });

  test("may be answered with nothing, as a 204 is", async () => {
    network.answer(new Response(null, { status: 204 }));
    const answer = await whole();
    expect([answer.status, await answer.text()]).toEqual([204, ""]);
  });
});
