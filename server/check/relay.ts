import { randomBytes, randomUUID } from "node:crypto";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import * as v from "valibot";
import { beginAnswer, completeAnswer, errorAnswer, relayAnswer } from "../../src/core/http-api.ts";
import { RELAY_TOKEN_HEADER, relayUrl } from "../../src/core/relay-url.ts";
import { browserFetch } from "./browser-fetch.ts";
import { type CheckContext, type Finding, failure, ok, refused, warning } from "./finding.ts";

// What the browser sends in one request of a Background Fetch, at most.
const RANGE_BYTES = 512 * 1024 * 1024;
const FIRST_BYTES = 64 * 1024;
const ANSWER_MS = 10_000;
const BODY = randomBytes(1_000);

/** Whether the browser's own transfers get through to the handler, and from there to S3. */
export async function* checkRelay(context: CheckContext, url: string): AsyncGenerator<Finding> {
  const way = await checkWay(context, url);
  yield way;
  if (way.level !== "failure") yield await checkTransfer(context, url);
}

/**
 * Announces as many bytes as a range may have, sends a few, and waits for the handler's refusal, which it gives without
 * the rest. What a proxy keeps until it has everything gets no answer.
 */
async function checkWay({ signal }: CheckContext, url: string): Promise<Finding> {
  const about = "relay, as far as the handler";
  const range = { uploadId: randomUUID(), first: 1, count: 1 };
  let answer: { readonly status: number; readonly text: string } | null;
  try {
    answer = await beginPut(relayUrl(url, range, randomUUID()), signal);
  } catch (error) {
    return refused(about, error, "the relay");
  }
  if (answer === null)
    return failure(
      about,
      `no answer within ${ANSWER_MS / 1_000} s to the head of a request of ${RANGE_BYTES / 1_048_576} MiB`,
      "a proxy keeps requests until they are whole: switch that off (nginx: proxy_request_buffering off)",
    );
  const { status, text } = answer;
  if (isErrorAnswer(text)) return ok(about, "reached at once");
  if (status === 413)
    return failure(
      about,
      "a proxy refuses large bodies (HTTP 413)",
      `raise its limit to ${RANGE_BYTES / 1_048_576} MiB (nginx: client_max_body_size), or pass relay: false to httpStorage`,
    );
  if (status >= 300 && status < 400)
    return failure(about, `redirected (HTTP ${status})`, "give --relay the URL that it leads to");
  return failure(
    about,
    `HTTP ${status}, not by the handler`,
    "give --relay the URL that httpStorage has as its endpoint, and let PUT through",
  );
}

async function checkTransfer(context: CheckContext, url: string): Promise<Finding> {
  const about = "relay, as far as S3";
  const uploadId = randomUUID();
  const intent = {
    ...{ uploadId, key: context.probes.newKey(), name: "backhaul-check.txt" },
    ...{ size: BODY.length, partSize: BODY.length, type: "text/plain" },
    ...{ method: "single", checksum: "md5", triedForMs: null },
  };
  const failed = (name: string, { status, text }: Answer) =>
    failure(
      about,
      `${name}: HTTP ${status} ${errorCodeOf(text) ?? ""}`.trimEnd(),
      "see the handler's onError",
    );
  try {
    const begun = await post(context, url, "begin", intent);
    if (begun.status === 401 || begun.status === 403)
      return warning(about, "not tried: the handler wants a session", 'give one: --header "cookie: …"');
    const opened = parse(beginAnswer, begun.text);
    if (opened === null) return failed("begin", begun);
    context.probes.addKey(opened.key);
    const range = { uploadId, first: 1, count: 1 };
    const response = await browserFetch(context, relayUrl(url, range, randomUUID()), {
      method: "PUT",
      headers: { ...context.headers, [RELAY_TOKEN_HEADER]: opened.token },
      body: new Blob([BODY]),
    });
    const relayed = { status: response.status, text: await response.text() };
    const stored = parse(relayAnswer, relayed.text);
    if (!response.ok || stored === null) return failed("relay", relayed);
    const completed = await post(context, url, "complete", { token: opened.token, parts: stored.parts });
    if (parse(completeAnswer, completed.text) === null) return failed("complete", completed);
    return ok(about, "stored, and as it was sent");
  } catch (error) {
    return refused(about, error, "the relay");
  }
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

async function post(context: CheckContext, url: string, operation: string, body: unknown): Promise<Answer> {
  const response = await browserFetch(context, `${url.replace(/\/$/, "")}/${operation}`, {
    method: "POST",
    headers: { ...context.headers, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, text: await response.text() };
}

/** The answer to a PUT of which only the beginning is sent; null if none comes. */
function beginPut(url: string, signal: AbortSignal): Promise<Answer | null> {
  const request = url.startsWith("https:") ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const req = request(url, {
      method: "PUT",
      signal,
      agent: false,
      headers: { "content-length": RANGE_BYTES, "content-type": "application/octet-stream" },
    });
    const timer = setTimeout(() => end(null), ANSWER_MS);
    const end = (answer: Answer | null) => {
      clearTimeout(timer);
      resolve(answer);
      req.destroy();
    };
    req.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk) => {
        text = (text + chunk).slice(0, 8_192);
      });
      const answered = () => end({ status: response.statusCode ?? 0, text });
      response.once("end", answered).once("close", answered).on("error", answered);
    });
    // After an answer the connection may be cut, which is no failure.
    req.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    req.write(Buffer.alloc(FIRST_BYTES));
  });
}

function isErrorAnswer(text: string): boolean {
  return parse(errorAnswer, text) !== null;
}

function errorCodeOf(text: string): string | undefined {
  return parse(errorAnswer, text)?.error.code;
}

function parse<T>(schema: v.GenericSchema<unknown, T>, text: string): T | null {
  try {
    const checked = v.safeParse(schema, JSON.parse(text));
    return checked.success ? checked.output : null;
  } catch {
    return null;
  }
}
