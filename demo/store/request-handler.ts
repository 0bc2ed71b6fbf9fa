import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { finished, pipeline } from "node:stream/promises";
import { authenticate, type Credentials } from "./authenticate.ts";
import type { Buckets } from "./buckets.ts";
import { corsHeaders, preflight } from "./cors.ts";
import type { ServerSideEncryption } from "./encryption.ts";
import { S3Error } from "./errors.ts";
import type { Answer } from "./exchange.ts";
import { RequestBody } from "./request-body.ts";
import { loggedHeaders, type RequestEntry, targetFields } from "./request-log.ts";
import { parseTarget, type RequestTarget } from "./request-target.ts";
import { route } from "./router.ts";
import { xmlDocument } from "./xml.ts";

export interface HandlerContext {
  readonly buckets: Buckets;
  readonly credentials: Credentials;
  readonly minPartBytes: number;
  readonly traffic: Traffic;
  readonly sse: ServerSideEncryption | undefined;
  readonly now: () => number;
  /** The store's own URL, known once it listens. */
  readonly url: () => string;
}

/** The requests that are under way. */
export interface Traffic {
  /** Bodies that are being taken in. */
  puts: number;
  /** More than these are sent away, as S3 does when a prefix gets too much. */
  readonly mostPuts: number;
}

/** Answers one request; settles, never rejecting, when nothing of it is under way any more. */
export async function handleRequest(
  context: HandlerContext,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<RequestEntry> {
  const startedAt = context.now();
  const body = new RequestBody(request);
  const run = new Run(context, request, body);
  const answer = await run.answer();
  // The date is by the store's own clock, from which clients learn how far off theirs is.
  const date = new Date(context.now()).toUTCString();
  const headers = { date, ...answer.headers, ...run.corsHeaders() };
  await send(request, response, body, { ...answer, headers });
  return {
    method: request.method ?? "",
    operation: run.operation,
    ...targetFields(run.target),
    status: response.headersSent ? response.statusCode : 0,
    ...(run.code === undefined ? {} : { code: run.code }),
    bytesReceived: body.received,
    stored: answer.stored ?? false,
    startedAt,
    endedAt: context.now(),
    headers: loggedHeaders(request.headers),
  };
}

/** From the request to its answer, and what was found out on the way, for CORS headers and log. */
class Run {
  target: RequestTarget | undefined;
  operation = "Unknown";
  code: string | undefined;
  readonly #context: HandlerContext;
  readonly #request: IncomingMessage;
  readonly #body: RequestBody;

  constructor(context: HandlerContext, request: IncomingMessage, body: RequestBody) {
    this.#context = context;
    this.#request = request;
    this.#body = body;
  }

  async answer(): Promise<Answer> {
    try {
      return await this.#perform();
    } catch (error) {
      if (isGone(this.#request)) return {};
      const failure = error instanceof S3Error ? error : new S3Error("InternalError", String(error));
      if (failure.code === "InternalError") console.error(error);
      this.code = failure.code;
      return errorAnswer(failure, this.target);
    }
  }

  /** S3 sends CORS headers with errors too, whenever the bucket has a rule for the origin. */
  corsHeaders(): Record<string, string> {
    if (this.operation === "Preflight" || this.target === undefined) return {};
    const { method = "", headers } = this.#request;
    return corsHeaders(this.#context.buckets.find(this.target.bucket)?.cors, method, headers.origin);
  }

  async #perform(): Promise<Answer> {
    const { buckets, credentials, now, minPartBytes, sse, traffic, url } = this.#context;
    const { method = "", headers } = this.#request;
    const target = parseTarget(this.#request.url ?? "");
    this.target = target;
    if (method === "OPTIONS") {
      this.operation = "Preflight";
      return { headers: preflight(buckets.find(target.bucket)?.cors, headers) };
    }
    const { name, run } = route(method, target, headers);
    this.operation = name;
    const payload = authenticate({ method, target, headers }, credentials, now());
    const { region } = credentials;
    const exchange = {
      buckets,
      target,
      headers,
      payload,
      now,
      minPartBytes,
      sse,
      region,
      body: this.#body,
      url: url(),
    };
    if (method !== "PUT" || target.key === "") return run(exchange);
    if (traffic.puts >= traffic.mostPuts) throw new S3Error("SlowDown");
    traffic.puts += 1;
    try {
      return await run(exchange);
    } finally {
      traffic.puts -= 1;
    }
  }
}

function errorAnswer(error: S3Error, target: RequestTarget | undefined): Answer {
  const { code, message, status, details } = error;
  const body = xmlDocument(
    [
      "Error",
      [["Code", code], ["Message", message], ...Object.entries(details), ["Resource", target?.path ?? ""]],
    ],
    "",
  );
  return { status, headers: { "content-type": "application/xml" }, body };
}

/**
 * Whether the client disconnected before its body was whole. `errored` would not tell: Node sets it only
 * while somebody listens.
 */
function isGone(request: IncomingMessage): boolean {
  return request.destroyed && !request.complete;
}

/** Sends the answer at once, even while the client still sends, and then reads what is left of the request. */
async function send(
  request: IncomingMessage,
  response: ServerResponse,
  body: RequestBody,
  answer: Answer,
): Promise<void> {
  const { status = 200, headers = {} } = answer;
  try {
    if (isGone(request) || response.destroyed) return;
    const content = request.method === "HEAD" ? "" : (answer.body ?? "");
    response.writeHead(status, {
      "content-length": typeof content === "string" ? Buffer.byteLength(content) : 0,
      ...headers,
      server: "backhaul-embedded-store",
      "x-amz-request-id": randomBytes(8).toString("hex").toUpperCase(),
    });
    if (content instanceof Readable) await pipeline(content, response);
    else await Promise.all([finished(response.end(content)), body.drain()]);
  } catch {
    // The client has gone; there is nobody left to tell.
  } finally {
    if (answer.body instanceof Readable) answer.body.destroy();
  }
}
