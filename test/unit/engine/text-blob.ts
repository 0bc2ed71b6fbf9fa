import { createHash } from "node:crypto";
import type { ChecksumAlgorithm } from "../../../sw/parts/checksums.ts";

/** A file's content on disk, and whether it may still be read. */
export interface Content {
  text: string;
  isUnreadable: boolean;
}

/** A Blob of text that is read at once, so that no reading outlasts a step of virtual time. */
export class TextBlob extends Blob {
  readonly content: Content;
  override readonly size: number;
  readonly #start: number;
  readonly #end: number;

  constructor(content: Content | string, start = 0, end = Number.POSITIVE_INFINITY) {
    super([]);
    this.content = typeof content === "string" ? { text: content, isUnreadable: false } : content;
    this.#start = start;
    this.#end = Math.min(end, this.content.text.length);
    this.size = this.#end - start;
  }

  override slice(start = 0, end = this.size): TextBlob {
    return new TextBlob(this.content, this.#start + start, Math.min(this.#start + end, this.#end));
  }

  override async arrayBuffer(): Promise<ArrayBuffer> {
    return new TextEncoder().encode(textOf(this)).buffer;
  }

  /** @throws {DOMException} `NotReadableError` */
  read(): string {
    if (this.content.isUnreadable) throw new DOMException("the file has changed", "NotReadableError");
    return this.content.text.slice(this.#start, this.#end);
  }
}

/** MD5 by Node's own means, at once. */
export const nodeMd5: ChecksumAlgorithm = {
  kind: "md5",
  digest: async (bytes) => createHash("md5").update(textOf(bytes)).digest("base64"),
};

/** An ETag as S3 gives it to a part. */
export function etagOf(text: string): string {
  return createHash("md5").update(text).digest("hex");
}

export function textOf(bytes: Blob): string {
  if (bytes instanceof TextBlob) return bytes.read();
  throw new TypeError("only a TextBlob is read at once");
}
