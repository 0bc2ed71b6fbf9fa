import { type AnswerHead, parseRetryAfter } from "../../src/core/outcome.ts";
import { type SignedPart, StorageFault } from "../../src/core/storage.ts";
import type { Platform } from "./platform.ts";

/** The platform, as far as requests need it. */
export type Transport = Pick<Platform, "clock" | "fetch">;

export interface PutAnswer extends AnswerHead {
  /** Without quotes; null where CORS hides it, or where something else than S3 has answered. */
  readonly etag: string | null;
}

export interface PutOptions {
  /** Headers that are sent besides the signed ones. */
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
  transport: Transport,
  signed: SignedPart,
  body: Blob,
  { headers, signal, timeoutMs }: PutOptions,
): Promise<PutAnswer> {
  const init: RequestInit = {
    method: "PUT",
    headers: { ...signed.headers, ...headers },
    body,
    // The signature is all the authority that goes along.
    credentials: "omit",
    referrerPolicy: "no-referrer",
    signal,
  };
  return withAnswer(transport, signed.url, init, timeoutMs, async (response) => {
    const etag = response.headers.get("etag")?.replace(/^W\/|"/g, "") || null;
    const head = answerHead(transport, response);
    if (response.ok) return { ...head, etag };
    const xml = await response.text();
    return { ...head, etag, s3Code: /<Code>(\w{1,64})<\/Code>/.exec(xml)?.[1] };
  });
}

export interface JsonAnswer extends AnswerHead {
  /** Undefined where the body is not JSON. */
  readonly json: unknown;
  /** Whether the server redirects, for instance to a page where users sign in. */
  readonly isRedirect: boolean;
}

export interface PostOptions {
  readonly headers: Readonly<Record<string, string>>;
  readonly credentials: RequestCredentials;
  readonly timeoutMs: number;
}

/** @throws {StorageFault} `network` */
export async function postJson(
  transport: Transport,
  url: URL,
  body: unknown,
  { headers, credentials, timeoutMs }: PostOptions,
): Promise<JsonAnswer> {
  const init: RequestInit = {
    method: "POST",
    headers: { ...headers, "content-type": "application/json" },
    body: JSON.stringify(body),
    credentials,
    // Followed, a redirect to a page of another origin would look like a broken network.
    redirect: "manual",
  };
  return withAnswer(transport, url, init, timeoutMs, async (response) => ({
    ...answerHead(transport, response),
    json: parseJson(await response.text()),
    isRedirect: response.type === "opaqueredirect" || (response.status >= 300 && response.status < 400),
  }));
}

/**
 * Sends a request of the AWS SDK's. The whole response is read here, since the SDK can't tell a response that
 * broke off from an invalid one.
 *
 * @throws {StorageFault} `network`
 */
export async function fetchWhole(
  transport: Transport,
  request: Request,
  timeoutMs: number,
): Promise<Response> {
  const init: RequestInit = { credentials: "omit", referrerPolicy: "no-referrer" };
  return withAnswer(transport, request, init, timeoutMs, async (response) => {
    const body = await response.arrayBuffer();
    // A 204 may not have a body, not even an empty one.
    return new Response(body.byteLength === 0 ? null : body, response);
  });
}

/** The deadline covers the whole answer: a connection can break inside it as well as before it. */
async function withAnswer<T>(
  transport: Transport,
  url: string | URL | Request,
  init: RequestInit,
  timeoutMs: number,
  read: (response: Response) => Promise<T>,
): Promise<T> {
  const deadline = new AbortController();
  const undo = transport.clock.after(timeoutMs, () => deadline.abort());
  const signal = init.signal ? AbortSignal.any([init.signal, deadline.signal]) : deadline.signal;
  try {
    return await read(await transport.fetch(url, { ...init, signal, cache: "no-store" }));
  } catch (cause) {
    throw new StorageFault("network", deadline.signal.aborted ? "STALLED" : "NETWORK", { cause });
  } finally {
    undo();
  }
}

function answerHead({ clock }: Transport, response: Response): AnswerHead {
  return {
    status: response.status,
    retryAfterMs: parseRetryAfter(response.headers.get("retry-after"), clock.now()),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
