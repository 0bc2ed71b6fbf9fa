import { createCRC32, createCRC64, createMD5, createSHA256, type IHasher } from "hash-wasm";
import type { Checksum, ChecksumKind } from "../../src/core/checksum.ts";
import { UploadError } from "../../src/core/errors.ts";

/**
 * One of `md5`, `crc32c`, `crc64nvme`, `sha256`, `noChecksum`. Only the algorithms that an app imports get into its worker's
 * bundle. All but `noChecksum` are compiled from WebAssembly, so a Content Security Policy must allow 'wasm-unsafe-eval'.
 */
export interface ChecksumAlgorithm {
  /** How the server and S3 name it. */
  readonly kind: ChecksumKind;
  /**
   * The digest of these bytes; null for the kind `none`. Rejects with `CHECKSUM_UNAVAILABLE`, or with a `DOMException` if the
   * bytes can't be read.
   * @internal
   */
  readonly digest: ((bytes: Blob) => Promise<Checksum>) | null;
}

/**
 * MD5, sent as `Content-MD5`. Every S3 engine checks it, and it is a part's ETag as well, unless the bucket is encrypted with
 * SSE-KMS.
 */
export const md5: ChecksumAlgorithm = { kind: "md5", digest: (bytes) => digest(bytes, createMD5) };
/** CRC-32C, sent as `x-amz-checksum-crc32c`, which Amazon S3 checks, keeps and reports. Not every other engine knows it. */
export const crc32c: ChecksumAlgorithm = { kind: "crc32c", digest: (bytes) => digest(bytes, createCrc32c) };
/**
 * CRC-64/NVME, sent as `x-amz-checksum-crc64nvme`, which Amazon S3 checks, keeps and reports, for the whole object too. Not
 * every other engine knows it.
 */
export const crc64nvme: ChecksumAlgorithm = {
  kind: "crc64nvme",
  digest: (bytes) => digest(bytes, createCrc64Nvme),
};
/** SHA-256, sent as `x-amz-checksum-sha256`, which Amazon S3 checks, keeps and reports. Slower than the others. */
export const sha256: ChecksumAlgorithm = { kind: "sha256", digest: (bytes) => digest(bytes, createSHA256) };
/** No checksum: only TLS protects the bytes on their way. Needs no WebAssembly. */
export const noChecksum: ChecksumAlgorithm = { kind: "none", digest: null };

/** Polynomial of CRC-32C (Castagnoli), reflected. */
function createCrc32c(): Promise<IHasher> {
  return createCRC32(0x82f63b78);
}

/** Polynomial of CRC-64/NVME, reflected. */
function createCrc64Nvme(): Promise<IHasher> {
  return createCRC64("9a6c9329ac4bc9b5");
}

let lastDigest: Promise<unknown> = Promise.resolve();
const hashers = new Map<() => Promise<IHasher>, Promise<IHasher>>();

/** Reads the bytes as a stream, one Blob at a time and by one hasher: more of them would only need more memory. */
function digest(bytes: Blob, create: () => Promise<IHasher>): Promise<Checksum> {
  const turn = lastDigest.then(() => digestNow(bytes, create));
  lastDigest = turn.catch(() => {});
  return turn;
}

async function digestNow(bytes: Blob, create: () => Promise<IHasher>): Promise<Checksum> {
  const hasher = await hasherOf(create);
  hasher.init();
  try {
    await readInto(hasher, bytes.stream());
  } catch (cause) {
    // The read that failed has kept the buffer.
    buffer = new ArrayBuffer(BUFFER_BYTES);
    throw cause;
  }
  return btoa(String.fromCharCode(...hasher.digest("binary")));
}

async function hasherOf(create: () => Promise<IHasher>): Promise<IHasher> {
  const made = hashers.get(create) ?? create();
  hashers.set(create, made);
  return made.catch((cause: unknown) => {
    hashers.delete(create);
    throw new UploadError("CHECKSUM_UNAVAILABLE", "WebAssembly", { cause });
  });
}

const BUFFER_BYTES = 512 * 1024;
/** Fewer bytes are not worth a turn of their own. */
const LEAST_BYTES = 64 * 1024;

let buffer = new ArrayBuffer(BUFFER_BYTES);

/** Reads into the same memory again and again: fresh chunks pile up by the hundred megabytes before they are collected. */
async function readInto(hasher: IHasher, stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
  const reader = byteReaderOf(stream);
  const isOwnBuffer = !(reader instanceof ReadableStreamDefaultReader);
  for (let isDone = false; !isDone; ) {
    const { done, value } = await (isOwnBuffer
      ? reader.read(new Uint8Array(buffer), { min: LEAST_BYTES })
      : reader.read());
    isDone = done;
    if (!value) continue;
    // The last bytes come with "done".
    hasher.update(value);
    // The buffer was handed over with the read, and comes back with its value.
    if (isOwnBuffer) buffer = value.buffer;
  }
}

/** Not every browser's files are streams of bytes; where they aren't, the chunks are the browser's own. */
function byteReaderOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
  try {
    return stream.getReader({ mode: "byob" });
  } catch {
    return stream.getReader();
  }
}

/** A digest as S3 writes MD5 in ETags. */
export function hexOf(checksum: Checksum): string {
  return Array.from(atob(checksum), (byte) => byte.charCodeAt(0).toString(16).padStart(2, "0")).join("");
}
