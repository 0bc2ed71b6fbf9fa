import { createHash } from "node:crypto";

/**
 * Bytes that are known by whose they are and where they stand, without being there: a file of 100 GB costs nothing. What two of
 * them hold is equal when their fingerprints are.
 */
export interface SimContent {
  /** Names the bytes; another content has another name. */
  readonly name: string;
  /** The file on disk was changed or deleted: the browser refuses to read it. */
  isUnreadable: boolean;
}

/** Without super's constructor, which makes room for bytes that these don't have. */
const BlobWithoutBytes = withoutBytes(Blob);
const FileWithoutBytes = withoutBytes(File);

function withoutBytes<T extends Blob>(type: { readonly prototype: T }): new () => T {
  const bare = class {};
  Object.setPrototypeOf(bare.prototype, type.prototype);
  return bare as new () => T;
}

export class SimBlob extends BlobWithoutBytes {
  readonly content: SimContent;
  readonly start: number;
  readonly end: number;
  override readonly size: number;
  override readonly type: string;

  constructor(content: SimContent, start: number, end: number, type = "") {
    super();
    this.content = content;
    this.start = start;
    this.end = end;
    this.size = end - start;
    this.type = type;
  }

  override slice(start = 0, end = this.size, type = ""): SimBlob {
    const from = this.start + Math.min(start, this.size);
    return new SimBlob(this.content, from, Math.min(this.start + end, this.end), type);
  }

  override async arrayBuffer(): Promise<ArrayBuffer> {
    assertReadable(this.content);
    return new ArrayBuffer(Math.min(this.size, 1));
  }
}

/** A file as a page picks it. */
export class SimFile extends FileWithoutBytes {
  readonly content: SimContent;
  override readonly size: number;
  override readonly name: string;
  override readonly lastModified: number;
  override readonly type = "";

  constructor(content: SimContent, size: number, name: string, lastModified: number) {
    super();
    this.content = content;
    this.size = size;
    this.name = name;
    this.lastModified = lastModified;
  }

  override slice(start = 0, end = this.size, type = ""): SimBlob {
    return new SimBlob(this.content, Math.min(start, this.size), Math.min(end, this.size), type);
  }

  override async arrayBuffer(): Promise<ArrayBuffer> {
    assertReadable(this.content);
    return new ArrayBuffer(1);
  }
}

/** A copy of a file's bytes, which what becomes of the file on disk does not change. */
export function copyOf(blob: Blob): Blob {
  if (!isSimulated(blob)) return blob;
  assertReadable(blob.content);
  return new SimBlob({ name: blob.content.name, isUnreadable: false }, ...rangeOf(blob), blob.type);
}

/** Says which bytes these are. */
export function fingerprint(blob: Blob): string {
  if (!isSimulated(blob)) throw new TypeError("only simulated files are sent in a simulation");
  assertReadable(blob.content);
  const [start, end] = rangeOf(blob);
  return `${blob.content.name}:${start}-${end}`;
}

/** Stands for the MD5 of bytes; in base64, as S3 writes digests. */
export function digestOf(fingerprint: string): string {
  return createHash("md5").update(fingerprint).digest("base64");
}

function isSimulated(blob: Blob): blob is SimBlob | SimFile {
  return blob instanceof SimBlob || blob instanceof SimFile;
}

function rangeOf(blob: SimBlob | SimFile): [start: number, end: number] {
  return blob instanceof SimBlob ? [blob.start, blob.end] : [0, blob.size];
}

function assertReadable(content: SimContent): void {
  if (content.isUnreadable) throw new DOMException("the file has changed", "NotReadableError");
}
