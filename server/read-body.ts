import type * as v from "valibot";
import { parseOrRefuse, RequestRefused } from "./refused.ts";

// A `begin` with the longest key and name, each character escaped, has some 40 KiB.
const MAX_BODY_BYTES = 64 * 1024;
// 10,000 parts with their ETags and checksums are some 1.2 MB of JSON.
const MAX_VOUCHED_BODY_BYTES = 2 * 1024 * 1024;
// At 16 KiB/s, the slowest link that is waited for, the largest bodies take 4 s and 128 s.
const BODY_TIMEOUT_MS = 15_000;
const VOUCHED_BODY_TIMEOUT_MS = 128_000;
const MAX_HELD_BYTES = 16 * 1024 * 1024;
// A list of 10,000 parts is one array of objects. To parse arrays in arrays takes ten times as long as their
// bytes let expect.
const MAX_VOUCHED_ARRAYS = 16;

const OPENING_TOKEN = /^\s*\{\s*"token"\s*:\s*"([\w.-]{1,8192})"/;

export interface BodyReaderOptions {
  /** Rejects if the token is not one of this server's, without asking anybody. */
  readonly checkToken: (token: string) => Promise<unknown>;
  /** @default 16 MiB */
  readonly maxHeldBytes?: number;
  /** @default 15,000 */
  readonly timeoutMs?: number;
}

/**
 * Reads bodies of JSON from clients that nobody knows yet, which hold at most 16 MiB of memory together: if
 * more come, the one that has stood still for the longest is given up.
 */
export interface BodyReader {
  /**
   * The JSON body, checked. It may have 64 KiB.
   *
   * @param mayBeLarge lets a body that begins with a valid token, as `complete`'s does, have 2 MiB
   * @throws {RequestRefused} 400, 408, 413, 415
   * @throws what `checkToken` rejects with
   */
  read<T extends v.GenericSchema>(
    request: Request,
    schema: T,
    mayBeLarge?: boolean,
  ): Promise<v.InferOutput<T>>;
}

/** A body that is being read. */
interface Reading {
  readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly chunks: Uint8Array[];
  length: number;
  /** Whether nothing more of the body is wanted. */
  isGivenUp: boolean;
}

export function createBodyReader(options: BodyReaderOptions): BodyReader {
  const { checkToken, maxHeldBytes = MAX_HELD_BYTES, timeoutMs = BODY_TIMEOUT_MS } = options;
  let heldBytes = 0;
  /** Bodies under way, in the order in which they last received bytes. */
  const readings = new Set<Reading>();

  function hold(reading: Reading, chunk: Uint8Array): void {
    reading.chunks.push(chunk);
    reading.length += chunk.byteLength;
    heldBytes += chunk.byteLength;
    readings.delete(reading);
    readings.add(reading);
    for (const stalest of readings) {
      if (heldBytes <= maxHeldBytes) break;
      giveUp(stalest);
    }
  }

  function release(reading: Reading): void {
    if (readings.delete(reading)) heldBytes -= reading.length;
  }

  /**
   * Ends a read that waits, but does not wait for the source: one that does not end must not hold up the
   * answer.
   */
  function giveUp(reading: Reading): void {
    reading.isGivenUp = true;
    reading.chunks.length = 0;
    release(reading);
    void reading.reader.cancel().catch(() => {});
  }

  async function readWhole(reading: Reading, mayBeLarge: boolean): Promise<Uint8Array> {
    let maxBytes = MAX_BODY_BYTES;
    let timer = setTimeout(() => giveUp(reading), timeoutMs);
    try {
      for (;;) {
        const { done, value } = await readChunk(reading);
        if (reading.isGivenUp) throw new RequestRefused(408, "the body did not arrive in time");
        if (done) return concatenated(reading);
        hold(reading, value);
        if (reading.length > maxBytes && maxBytes === MAX_BODY_BYTES && mayBeLarge) {
          const [, token] =
            OPENING_TOKEN.exec(asText(concatenated(reading).subarray(0, MAX_BODY_BYTES))) ?? [];
          if (token === undefined) throw tooLarge(maxBytes);
          await checkToken(token);
          maxBytes = MAX_VOUCHED_BODY_BYTES;
          clearTimeout(timer);
          timer = setTimeout(() => giveUp(reading), VOUCHED_BODY_TIMEOUT_MS);
        }
        if (reading.length > maxBytes) throw tooLarge(maxBytes);
      }
    } catch (error) {
      giveUp(reading);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    async read(request, schema, mayBeLarge = false) {
      requireJson(request.headers);
      const reader = request.body?.getReader();
      if (reader === undefined) return parseOrRefuse(parseJson(new Uint8Array()), schema);
      const reading: Reading = { reader, chunks: [], length: 0, isGivenUp: false };
      const maxBytes = mayBeLarge ? MAX_VOUCHED_BODY_BYTES : MAX_BODY_BYTES;
      if (Number(request.headers.get("content-length")) > maxBytes) {
        giveUp(reading);
        throw tooLarge(maxBytes);
      }
      try {
        return parseOrRefuse(parseJson(await readWhole(reading, mayBeLarge)), schema);
      } finally {
        release(reading);
      }
    },
  };
}

/** Accepts JSON only: a form on another site can't send it without asking first by CORS. */
function requireJson(headers: Headers): void {
  const type = (headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase();
  if (type !== "application/json") throw new RequestRefused(415, "the content type must be application/json");
  requireUncompressed(headers);
}

/** @throws {RequestRefused} 415 */
export function requireUncompressed(headers: Headers): void {
  const encoding = headers.get("content-encoding") ?? "identity";
  if (encoding !== "identity") throw new RequestRefused(415, "the body must not be compressed");
}

async function readChunk({ reader, isGivenUp }: Reading) {
  try {
    return await reader.read();
  } catch {
    if (isGivenUp) return { done: true, value: undefined } as const;
    throw new RequestRefused(400, "the body ended early");
  }
}

function concatenated({ chunks, length }: Reading): Uint8Array {
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

function tooLarge(maxBytes: number): RequestRefused {
  return new RequestRefused(413, `at most ${maxBytes} bytes`);
}

function parseJson(bytes: Uint8Array): unknown {
  if (bytes.length > MAX_BODY_BYTES && countOf("[", bytes) > MAX_VOUCHED_ARRAYS)
    throw new RequestRefused(400, "the body must not nest arrays");
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    // The parser's own message quotes the body, and that may be a token.
    throw new RequestRefused(400, "the body is not JSON");
  }
}

function countOf(character: string, bytes: Uint8Array): number {
  const code = character.charCodeAt(0);
  let count = 0;
  for (const byte of bytes) if (byte === code) count++;
  return count;
}

/** A token and what stands before it are ASCII. Other bytes are nobody's token. */
function asText(bytes: Uint8Array): string {
  return new TextDecoder("latin1").decode(bytes);
}
