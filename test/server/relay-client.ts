import { type ClientRequest, type OutgoingHttpHeaders, request } from "node:http";
import { RELAY_TOKEN_HEADER, relayUrl } from "../../src/core/relay-url.ts";

export interface RelayedAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: unknown;
}

/** A PUT whose body is sent piece by piece, on a connection of its own. */
export interface RelayedRun {
  readonly request: ClientRequest;
  /** The answer, whether or not the whole body was sent. */
  readonly answer: Promise<RelayedAnswer>;
}

export interface RunOfParts {
  readonly first: number;
  readonly count: number;
  /** As declared. */
  readonly bytes: number;
  readonly headers?: OutgoingHttpHeaders;
}

/** Starts a run, with the token of its upload, and sends its headers. */
export function startRun(
  base: string,
  token: string,
  { first, count, bytes, headers }: RunOfParts,
): RelayedRun {
  const url = relayUrl(base, { uploadId: uploadIdOf(token), first, count }, "a-fetch");
  return startPut(url, { [RELAY_TOKEN_HEADER]: token, "content-length": bytes, ...headers });
}

export function startPut(url: string, headers: OutgoingHttpHeaders, method = "PUT"): RelayedRun {
  const put = request(url, { method, headers, agent: false });
  const answer = new Promise<RelayedAnswer>((resolve, reject) => {
    put.on("error", reject).on("response", async (response) => {
      let text = "";
      for await (const chunk of response) text += chunk;
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: JSON.parse(text) });
    });
  });
  // Not every test waits for it.
  answer.catch(() => {});
  put.flushHeaders();
  return { request: put, answer };
}

/** Sends a whole run. */
export function putRun(
  base: string,
  token: string,
  first: number,
  count: number,
  body: Uint8Array,
): Promise<RelayedAnswer> {
  const { request: put, answer } = startRun(base, token, { first, count, bytes: body.length });
  put.end(body);
  return answer;
}

/** The page's id of the upload. */
export function uploadIdOf(token: string): string {
  return String(claimsOf(token).uploadId);
}

/** Tokens can be read, though not written, by anyone. */
export function claimsOf(token: string): Readonly<Record<string, unknown>> {
  return JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
}
