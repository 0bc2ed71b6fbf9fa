import { type AnswerHead, parseRetryAfter } from "../../src/core/outcome.ts";
import { type SignedPart, StorageFault } from "../../src/core/storage.ts";
import { now } from "./clock.ts";

/** The worker's only use of `fetch`. */

export interface PutAnswer extends AnswerHead {
  /** Without quotes; null where CORS hides it or something else than S3 has answered. */
  readonly etag: string | null;
}

export interface PutOptions {
  /** Beside the signed ones. */
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

/**
 * Sends one part.
 *
 * @throws {StorageFault} `network` if no answer came within `timeoutMs`, or at all. A browser doesn't say why.
 */
export async function putPart(
  signed: SignedPart,
  body: Blob,
  { headers, signal, timeoutMs }: PutOptions,
): Promise<PutAnswer> {
  return withAnswer(
    signed.url,
    {
      method: "PUT",
      headers: { ...signed.headers, ...headers },
      body,
      // The signature is all the authority that goes along.
      credentials: "omit",
      referrerPolicy: "no-referrer",
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    },
    async (response) => {
      const etag = response.headers.get("etag")?.replace(/^W\/|"/g, "") || null;
      const head = answerHead(response);
      if (response.ok) return { ...head, etag };
      const xml = await response.text();
      return { ...head, etag, s3Code: /<Code>(\w{1,64})<\/Code>/.exec(xml)?.[1] };
    },
  );
}

export interface JsonAnswer extends AnswerHead {
  /** undefined where the body is not JSON. */
  readonly json: unknown;
}

/** @throws {StorageFault} `network` */
export async function postJson(
  url: URL,
  body: unknown,
  { headers, timeoutMs }: { headers: Readonly<Record<string, string>>; timeoutMs: number },
): Promise<JsonAnswer> {
  return withAnswer(
    url,
    {
      method: "POST",
      headers: { ...headers, "content-type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(timeoutMs),
    },
    async (response) => ({ ...answerHead(response), json: parseJson(await response.text()) }),
  );
}

/**
 * Sends a request of the AWS SDK's. All of its answer is read here, since the SDK can't tell one that broke off from one that
 * makes no sense.
 *
 * @throws {StorageFault} `network`
 */
export async function fetchWhole(request: Request, timeoutMs: number): Promise<Response> {
  return withAnswer(
    request,
    { credentials: "omit", referrerPolicy: "no-referrer", signal: AbortSignal.timeout(timeoutMs) },
    async (response) => {
      const body = await response.arrayBuffer();
      // A 204 may not have a body, not even an empty one.
      return new Response(body.byteLength === 0 ? null : body, response);
    },
  );
}

/** A connection can break inside the answer as well as before it. */
async function withAnswer<T>(
  url: string | URL | Request,
  init: RequestInit,
  read: (response: Response) => Promise<T>,
): Promise<T> {
  try {
    return await read(await fetch(url, { ...init, cache: "no-store" }));
  } catch (cause) {
    const isTimeout = cause instanceof DOMException && cause.name === "TimeoutError";
    throw new StorageFault("network", isTimeout ? "STALLED" : "NETWORK", { cause });
  }
}

function answerHead(response: Response): AnswerHead {
  return {
    status: response.status,
    retryAfterMs: parseRetryAfter(response.headers.get("retry-after"), now()),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
