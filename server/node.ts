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
 * Options for `http.createServer` where uploads are relayed. A whole request may take hours on a slow link,
 * but with `requestTimeout` at 0 alone Node has no limit on the head of a request either, so that connections
 * which never send the whole of one stay open for ever.
 */
export const relayServerOptions = { requestTimeout: 0, headersTimeout: 60_000 } as const;

// A client that was answered early may still be sending. The rest of its body is read and dropped for so
// long, so that it comes to read the answer; then its connection is cut.
const LINGER_MS = 10_000;

/**
 * Express adds the URL before it cut off the mount path, and the body if a parser has consumed it already.
 */
type MaybeExpress = IncomingMessage & { readonly originalUrl?: unknown; readonly body?: unknown };

/**
 * Lets node:http, node:http2, and so Express, serve a handler of `Request` and `Response`. Bodies are
 * streamed both ways, as fast as the other end takes them. `request.signal` aborts when the client goes
 * before it has the whole answer.
 *
 * The URL's host is the `Host` header as the client sent it, and `X-Forwarded-*` is not looked at: don't
 * decide by either. Relayed bytes (`createUploadHandler`) may take longer than the 5 minutes that
 * `http.Server` allows a request: give it the `relayServerOptions`.
 *
 * A client that was answered before it had sent its whole body has 10 s for the rest of it.
 *
 * If the handler rejects, `next` is given the error; without a `next` the answer is a bare 500.
 */
export function toNodeListener(handler: (request: Request) => Promise<Response>): NodeListener {
  return (anyReq, anyRes, next) => {
    // Node's compatibility API of HTTP/2 has all that is used here, but for `headersDistinct`.
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
    // HTTP/2 calls a stream that was reset finished, though nobody has ended it.
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
    await send(await handler(request), res, gone.signal);
  } finally {
    body.discard();
    if (!req.complete) linger(req);
  }
}

function linger(req: IncomingMessage): void {
  const timer = setTimeout(() => req.destroy(), LINGER_MS);
  req.once("close", () => clearTimeout(timer));
}

/** The request as a `Request`; null if HTTP allows it but `Request` does not, such as the method TRACE. */
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
    // HTTP/2 has it in a field of its own.
    if (!headers.has("host")) headers.set("host", host);
    if (body instanceof Uint8Array) {
      // The parser has undone both.
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
  // A target may be a whole URL, which is for proxies: only its path counts here.
  const path = target.startsWith("/") ? target : pathOf(new URL(target));
  return new URL(`${scheme}://${host}${path}`).href;
}

/** @throws {TypeError} if there are several, or one that is none */
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
