import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { bodyOf } from "./node-body.ts";

/**
 * A listener for `http.createServer` or `http2.createSecureServer`, and a handler for Express and its like.
 */
export type NodeListener = (
  req: IncomingMessage | Http2ServerRequest,
  res: ServerResponse | Http2ServerResponse,
  next?: (error?: unknown) => void,
) => void;

/**
 * Options for `http.createServer` where uploads are relayed: no limit on the duration of a request, which may take
 * hours on a slow link, and 60 s for its head. With `requestTimeout` at 0 alone, Node would not limit the head
 * either, and connections that never send a whole one would stay open for ever.
 */
export const relayServerOptions = { requestTimeout: 0, headersTimeout: 60_000 } as const;

// After an early response the client may still be sending, and reads the response only afterwards. The rest of its
// body is read and dropped for this long; then the connection is closed.
const LINGER_MS = 10_000;
// The end of a connection with unread bytes must not overtake the response.
const ANSWER_ARRIVES_MS = 20;

/** Express adds the URL with the mount path in it, and the body if a parser has consumed it already. */
type MaybeExpress = IncomingMessage & { readonly originalUrl?: unknown; readonly body?: unknown };

/**
 * Lets node:http, node:http2 and Express serve a handler of `Request` and `Response`. Bodies are streamed both
 * ways, as fast as the other end reads them. `request.signal` aborts when the client disconnects before it has
 * the whole response.
 *
 * The URL's host is the `Host` header as the client sent it, and `X-Forwarded-*` is ignored: base no decision on
 * the host. Relayed bytes (`createUploadHandler`) may take longer than the 5 minutes that `http.Server` allows a
 * request: give it the `relayServerOptions`.
 *
 * After an early response, the client has 10 s to finish sending; after one with `Connection: close`, nothing more
 * is read.
 *
 * If the handler rejects, `next` is called with the error; without a `next` the response is a bare 500.
 */
export function toNodeListener(handler: (request: Request) => Promise<Response>): NodeListener {
  return (anyReq, anyRes, next) => {
    // Node's compatibility API for HTTP/2 has all that is used here (but not `headersDistinct`).
    const req = anyReq as IncomingMessage;
    const res = anyRes as ServerResponse;
    void serve(handler, req, res).catch((error: unknown) => {
      if (res.headersSent) res.destroy();
      else if (next !== undefined) next(error);
      else res.writeHead(500).end();
    });
  };
}

async function serve(
  handler: (request: Request) => Promise<Response>,
  req: MaybeExpress,
  res: ServerResponse,
): Promise<void> {
  const gone = new AbortController();
  res.once("close", () => {
    // Node calls an HTTP/2 stream finished that was reset, though nobody has ended it.
    if (!res.writableFinished || !res.writableEnded) gone.abort();
  });
  // Without a listener, a broken connection would be an uncaught exception.
  res.on("error", () => gone.abort());

  const body = bodyOf(req);
  try {
    const request = toRequest(req, body.stream, gone.signal);
    if (request === null) {
      res.writeHead(400).end();
      return;
    }
    const response = await handler(request);
    const isToClose = response.headers.get("connection") === "close";
    await send(response, res, gone.signal);
    if (isToClose && !req.complete) {
      closeUnread(req);
      return;
    }
  } catch (error) {
    body.discard();
    throw error;
  }
  body.discard();
  if (!req.complete) linger(req);
}

/** Closes the connection without reading what the client still sends. */
function closeUnread(req: IncomingMessage): void {
  const timer = setTimeout(() => req.destroy(), ANSWER_ARRIVES_MS);
  req.once("close", () => clearTimeout(timer));
}

function linger(req: IncomingMessage): void {
  const timer = setTimeout(() => req.destroy(), LINGER_MS);
  req.once("close", () => clearTimeout(timer));
}

/** The request as a `Request`; null for requests that HTTP allows and `Request` does not, such as TRACE. */
function toRequest(
  req: MaybeExpress,
  body: ReadableStream<Uint8Array> | Uint8Array | null,
  signal: AbortSignal,
): Request | null {
  const { method = "GET" } = req;
  try {
    const headers = new Headers();
    for (const [name, value] of fieldsOf(req)) if (!name.startsWith(":")) headers.append(name, value);
    const host = hostOf(req);
    // HTTP/2 has the host in a field of its own, `:authority`.
    if (!headers.has("host")) headers.set("host", host);
    if (body instanceof Uint8Array) {
      // The body parser has read to the end and decompressed, so neither is true any more.
      headers.delete("content-length");
      headers.delete("content-encoding");
    }
    const hasBody = method !== "GET" && method !== "HEAD" && body !== null;
    return new Request(urlOf(req, host), {
      method,
      headers,
      signal,
      ...(hasBody && { body, duplex: "half" }),
    });
  } catch {
    return null;
  }
}

function urlOf(req: MaybeExpress, host: string): string {
  const scheme = "encrypted" in req.socket ? "https" : "http";
  const target = typeof req.originalUrl === "string" ? req.originalUrl : (req.url ?? "/");
  // A request that was meant for a proxy has a whole URL as its target, of which only the path counts here.
  const path = target.startsWith("/") ? target : pathOf(new URL(target));
  return new URL(`${scheme}://${host}${path}`).href;
}

/** @throws {TypeError} if there are several hosts, or one with invalid characters */
function hostOf(req: IncomingMessage): string {
  const hosts = new Set<string>();
  let count = 0;
  for (const [name, value] of fieldsOf(req)) {
    if (name !== "host" && name !== ":authority") continue;
    hosts.add(value);
    if (name === "host") count++;
  }
  const [host = "localhost"] = hosts;
  // "evil.example/begin?" would be a host and a path, and the real path its query.
  if (hosts.size > 1 || count > 1 || !/^[\w.:[\]-]+$/.test(host))
    throw new TypeError("the Host header is not a host");
  return host;
}

/** Header fields as they came, by their names in lower case. */
function* fieldsOf({ rawHeaders }: IncomingMessage): Generator<readonly [name: string, value: string]> {
  for (let at = 0; at + 1 < rawHeaders.length; at += 2)
    yield [(rawHeaders[at] ?? "").toLowerCase(), rawHeaders[at + 1] ?? ""];
}

function pathOf(url: URL): string {
  return url.pathname + url.search;
}

async function send(response: Response, res: ServerResponse, gone: AbortSignal): Promise<void> {
  if (gone.aborted) {
    await response.body?.cancel();
    return;
  }
  res.statusCode = response.status;
  const isHttp2 = res.req.httpVersionMajor === 2;
  for (const [name, value] of response.headers) {
    // HTTP/2 has no such field: a stream ends by itself, and its connection serves others.
    if (name === "set-cookie" || (name === "connection" && isHttp2)) continue;
    res.setHeader(name, value);
  }
  const cookies = response.headers.getSetCookie();
  if (cookies.length > 0) res.setHeader("set-cookie", cookies);

  if (response.body !== null)
    for await (const chunk of response.body) {
      if (gone.aborted) return;
      if (!res.write(chunk)) await drained(res, gone);
    }
  res.end();
}

function drained(res: ServerResponse, gone: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      res.off("drain", settle);
      gone.removeEventListener("abort", settle);
      resolve();
    };
    res.once("drain", settle);
    gone.addEventListener("abort", settle, { once: true });
    if (gone.aborted) settle();
  });
}
