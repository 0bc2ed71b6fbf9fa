import type { IncomingMessage } from "node:http";
import type { Payload } from "./authenticate.ts";
import { decodeAwsChunked } from "./aws-chunked.ts";
import type { ChecksumAlgorithm } from "./checksums.ts";
import { BodyDigests, type Digests } from "./digests.ts";
import { S3Error } from "./errors.ts";
import { MAX_XML_BYTES, MIN_CHUNK_BYTES } from "./limits.ts";

/** A request's body, counted as it comes off the wire and verified as it is read. It can be read once. */
export class RequestBody {
  /** Bytes off the wire so far, whoever read them. */
  received = 0;
  readonly #request: IncomingMessage;

  constructor(request: IncomingMessage) {
    this.#request = request;
  }

  /**
   * The decoded bytes. After the last one the length and every announced digest are checked: the consumer sees the
   * generator end (returning digests and size) only for a body that is whole and right.
   *
   * @param algorithm of a checksum that is calculated even if the client announces none
   */
  async *verified(
    payload: Payload,
    maxBytes: number,
    algorithm?: ChecksumAlgorithm,
  ): AsyncGenerator<Buffer, VerifiedBody> {
    const { headers } = this.#request;
    const expected = this.#expectedLength(payload);
    if (expected > maxBytes) {
      throw new S3Error("EntityTooLarge", undefined, { ProposedSize: expected, MaxSizeAllowed: maxBytes });
    }
    const digests = await BodyDigests.of(headers, payload, algorithm);
    const trailers = new Map<string, string>();
    const bytes =
      payload.kind === "chunked" ? decodeAwsChunked(this.#wire(), trailers, MIN_CHUNK_BYTES) : this.#wire();
    let size = 0;
    for await (const chunk of bytes) {
      size += chunk.length;
      if (size > expected) throw new S3Error("IncompleteBody");
      digests.update(chunk);
      yield chunk;
    }
    if (size !== expected) throw new S3Error("IncompleteBody");
    return { ...digests.finish(trailers), size };
  }

  async text(payload: Payload): Promise<string> {
    const chunks: Buffer[] = [];
    for await (const chunk of this.verified(payload, MAX_XML_BYTES)) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  }

  /**
   * Reads and drops what is left. A refused upload is drained rather than cut off, because a browser that sees the
   * connection reset while it sends reports a bare network error instead of the status.
   */
  async drain(): Promise<void> {
    const { socket } = this.#request;
    // Once a response is finished Node no longer tells its request that the connection is gone.
    const onClose = () => this.#request.destroy();
    socket.once("close", onClose);
    try {
      for await (const _ of this.#wire()) {
        // counted on the way
      }
    } finally {
      socket.off("close", onClose);
    }
  }

  async *#wire(): AsyncGenerator<Buffer> {
    // Without `destroyOnReturn: false` the socket would be gone before the error answer is written.
    for await (const chunk of this.#request.iterator({ destroyOnReturn: false })) {
      this.received += chunk.length;
      yield chunk;
    }
  }

  #expectedLength(payload: Payload): number {
    const { headers } = this.#request;
    if (payload.kind !== "chunked" && headers["transfer-encoding"] !== undefined) {
      throw new S3Error("NotImplemented", undefined, { Header: "Transfer-Encoding" });
    }
    const length =
      payload.kind === "chunked" ? headers["x-amz-decoded-content-length"] : headers["content-length"];
    if (typeof length !== "string" || !/^\d+$/.test(length)) throw new S3Error("MissingContentLength");
    return Number(length);
  }
}

export interface VerifiedBody extends Digests {
  readonly size: number;
}
