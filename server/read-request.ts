import * as v from "valibot";
import { OPERATIONS, type Operation, relayQuery } from "../src/core/http-api.ts";
import type { PartRange } from "../src/core/part-ranges.ts";
import { isEnded, RELAY_TOKEN_HEADER } from "../src/core/relay-url.ts";

// At 16 KiB/s, slower than which no link is waited for, the largest body takes as long. `http.Server` has a limit too,
// but where runs are relayed it has to be off.
const BODY_TIMEOUT_MS = 128_000;
// 10,000 parts with their ETags and checksums are some 1.2 MB of JSON.
const MAX_BODY_BYTES = 2 * 1024 * 1024;

/** A request that is refused before anything is done for it. `detail` is for the client; it quotes nothing of the body. */
export class RequestRefused extends Error {
  override readonly name = "RequestRefused";

  constructor(
    /** HTTP status, 400 to 415. */
    readonly status: number,
    readonly detail: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(`${status}: ${detail}`);
  }
}

/**
 * The last segment of the path says what to do, wherever the handler is mounted.
 *
 * @throws {RequestRefused} 404, 405
 */
export function operationOf(request: Request): Operation {
  const name = new URL(request.url).pathname.split("/").at(-1);
  const operation = OPERATIONS.find((candidate) => candidate === name);
  if (operation === undefined) throw new RequestRefused(404, `there are ${OPERATIONS.join(", ")}`);
  const method = operation === "relay" ? "PUT" : "POST";
  if (request.method !== method) throw new RequestRefused(405, `use ${method}`, { allow: method });
  return operation;
}

/**
 * The JSON body, checked.
 *
 * @throws {RequestRefused} 400, 408, 413, 415
 */
export async function readBody<T extends v.GenericSchema>(
  request: Request,
  schema: T,
  timeoutMs = BODY_TIMEOUT_MS,
): Promise<v.InferOutput<T>> {
  requireJson(request.headers);
  return parse(parseJson(await readBytes(request, timeoutMs)), schema);
}

/**
 * The part range that a relayed request's URL names, and the token in its header. Nothing is asked of its content type: a form
 * elsewhere can't `PUT`, nor send the header, and a script there must ask first by CORS.
 *
 * @throws {RequestRefused} 400, 409, 411, 415
 */
export function readRelayHead({ url, headers }: Request): RelayHead {
  const query = new URL(url).searchParams;
  // The rest of its bytes need not come: the connection ends with the answer.
  if (isEnded(headers.get("cookie"), query.get("fetch") ?? ""))
    throw new RequestRefused(409, "this transfer was taken back", { connection: "close" });
  const range = parse(Object.fromEntries(query), relayQuery);
  const token = headers.get(RELAY_TOKEN_HEADER) ?? "";
  if (token === "") throw new RequestRefused(400, `the header ${RELAY_TOKEN_HEADER} is missing`);
  requirePlain(headers);
  const length = headers.get("content-length");
  if (length === null)
    throw new RequestRefused(411, "the length is missing, or another parser read the body");
  if (!/^\d{1,16}$/.test(length)) throw new RequestRefused(400, "the content length is no number");
  return { range, token, contentLength: Number(length) };
}

export interface RelayHead {
  readonly range: PartRange;
  readonly token: string;
  /** Bytes. */
  readonly contentLength: number;
}

function parse<T extends v.GenericSchema>(value: unknown, schema: T): v.InferOutput<T> {
  const parsed = v.safeParse(schema, value, { abortEarly: true });
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const path = v.getDotPath(issue) ?? "the body";
  throw new RequestRefused(
    400,
    issue.expected === null ? `${path} is wrong` : `${path} should be ${issue.expected}`,
  );
}

/** Only JSON: a form on another site can't send it without asking first by CORS. */
function requireJson(headers: Headers): void {
  const type = (headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase();
  if (type !== "application/json") throw new RequestRefused(415, "the content type must be application/json");
  requirePlain(headers);
}

function requirePlain(headers: Headers): void {
  const encoding = headers.get("content-encoding") ?? "identity";
  if (encoding !== "identity") throw new RequestRefused(415, "the body must not be compressed");
}

async function readBytes(request: Request, timeoutMs: number): Promise<Uint8Array> {
  const reader = request.body?.getReader();
  if (reader === undefined) return new Uint8Array();
  if (Number(request.headers.get("content-length")) > MAX_BODY_BYTES) throw tooLarge();
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    stop(reader);
  }, timeoutMs);
  const bytes = await readAll(reader).finally(() => clearTimeout(timer));
  if (isLate) throw new RequestRefused(408, "the body did not come in time");
  return bytes;
}

async function readAll(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await read(reader);
    if (done) break;
    length += value.byteLength;
    if (length > MAX_BODY_BYTES) {
      stop(reader);
      throw tooLarge();
    }
    chunks.push(value);
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

function tooLarge(): RequestRefused {
  return new RequestRefused(413, `at most ${MAX_BODY_BYTES} bytes`);
}

/** Not waited for: a source that does not end must not hold up the answer. A read that waits ends with it. */
function stop(reader: ReadableStreamDefaultReader<Uint8Array>): void {
  void reader.cancel().catch(() => {});
}

async function read(reader: ReadableStreamDefaultReader<Uint8Array>) {
  try {
    return await reader.read();
  } catch {
    throw new RequestRefused(400, "the body broke off");
  }
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    // The parser's own message quotes the body, and that may be a token.
    throw new RequestRefused(400, "the body is not JSON");
  }
}
