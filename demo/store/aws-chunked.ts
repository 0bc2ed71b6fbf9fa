import { S3Error } from "./errors.ts";

/** Long enough for any size line or trailer; a line beyond it is no framing at all. */
const MAX_LINE_BYTES = 4096;

/**
 * Decodes `Content-Encoding: aws-chunked` without chunk signatures: `hex-size CRLF bytes CRLF … 0 CRLF trailers CRLF`.
 * `trailers` is filled (lower-case names) by the time the generator ends. A body that stops early is IncompleteBody.
 *
 * @param minChunkBytes of all chunks but the last
 */
export async function* decodeAwsChunked(
  source: AsyncIterable<Buffer>,
  trailers: Map<string, string>,
  minChunkBytes: number,
): AsyncGenerator<Buffer> {
  const reader = new Reader(source);
  let previous = Number.POSITIVE_INFINITY;
  for (let chunk = 1; ; chunk++) {
    const size = parseSize(await reader.line());
    if (size === 0) break;
    if (previous < minChunkBytes)
      throw new S3Error("InvalidChunkSizeError", undefined, { Chunk: chunk, BadChunkSize: previous });
    previous = size;
    for (let left = size; left > 0; ) {
      const bytes = await reader.bytes(left);
      left -= bytes.length;
      yield bytes;
    }
    if ((await reader.line()) !== "") throw new S3Error("IncompleteBody");
  }
  for (let line = await reader.line(); line !== ""; line = await reader.line()) {
    const colon = line.indexOf(":");
    trailers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
}

function parseSize(line: string): number {
  const [size = ""] = line.split(";");
  if (!/^[\da-f]{1,12}$/i.test(size)) throw new S3Error("IncompleteBody");
  return Number.parseInt(size, 16);
}

class Reader {
  readonly #chunks: AsyncIterator<Buffer>;
  #buffer: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Buffer>) {
    this.#chunks = source[Symbol.asyncIterator]();
  }

  /** At least one byte, at most `max`. */
  async bytes(max: number): Promise<Buffer> {
    if (this.#buffer.length === 0) this.#buffer = await this.#next();
    const bytes = this.#buffer.subarray(0, max);
    this.#buffer = this.#buffer.subarray(bytes.length);
    return bytes;
  }

  /** Up to the next CRLF, which is taken away. */
  async line(): Promise<string> {
    let end = this.#buffer.indexOf("\r\n");
    while (end === -1) {
      if (this.#buffer.length > MAX_LINE_BYTES) throw new S3Error("IncompleteBody");
      this.#buffer = Buffer.concat([this.#buffer, await this.#next()]);
      end = this.#buffer.indexOf("\r\n");
    }
    const line = this.#buffer.toString("latin1", 0, end);
    this.#buffer = this.#buffer.subarray(end + 2);
    return line;
  }

  async #next(): Promise<Buffer> {
    for (;;) {
      const { value, done } = await this.#chunks.next();
      if (done === true) throw new S3Error("IncompleteBody");
      if (value.length > 0) return value;
    }
  }
}
