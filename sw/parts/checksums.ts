import { createCRC32, createCRC64, createMD5, createSHA256, type IHasher } from "hash-wasm";
import type { Checksum, ChecksumKind } from "../../src/core/checksum.ts";
import { UploadError } from "../../src/core/errors.ts";

/** One of `md5`, `crc32c`, `crc64nvme`, `sha256`, `noChecksum`. Only those that are used get into the worker's bundle. */
export interface ChecksumAlgorithm {
  readonly kind: ChecksumKind;
  /** @internal */
  readonly create: (() => Promise<IHasher>) | null;
}

// Compiled from WebAssembly: a Content Security Policy must allow 'wasm-unsafe-eval'.
export const md5: ChecksumAlgorithm = { kind: "md5", create: createMD5 };
/** Polynomial of CRC-32C (Castagnoli), reflected. */
export const crc32c: ChecksumAlgorithm = { kind: "crc32c", create: () => createCRC32(0x82f63b78) };
/** Polynomial of CRC-64/NVME, reflected. */
export const crc64nvme: ChecksumAlgorithm = {
  kind: "crc64nvme",
  create: () => createCRC64("9a6c9329ac4bc9b5"),
};
export const sha256: ChecksumAlgorithm = { kind: "sha256", create: createSHA256 };
export const noChecksum: ChecksumAlgorithm = { kind: "none", create: null };

let lastDigest: Promise<unknown> = Promise.resolve();
const hashers = new Map<() => Promise<IHasher>, Promise<IHasher>>();

/**
 * The digest of some bytes, read as a stream. One at a time, by one hasher: more of them would only take more memory.
 *
 * @throws {UploadError} `CHECKSUM_UNAVAILABLE`
 * @throws {DOMException} if the bytes can't be read
 */
export function digest(bytes: Blob, create: () => Promise<IHasher>): Promise<Checksum> {
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
    // The read that failed has kept it.
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

/** Into the same memory again and again: chunks of their own pile up by the hundred megabytes before they are collected. */
async function readInto(hasher: IHasher, stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
  const reader = byteReaderOf(stream);
  for (let isDone = false; !isDone; ) {
    const { done, value } = await (reader instanceof ReadableStreamDefaultReader
      ? reader.read()
      : reader.read(new Uint8Array(buffer), { min: LEAST_BYTES }));
    isDone = done;
    if (!value) continue;
    // The last bytes come with "done".
    hasher.update(value);
    // It was handed over with the read, and comes back with it.
    buffer = value.buffer;
  }
}

/** Not every browser's files are streams of bytes; then the chunks are the browser's own. */
function byteReaderOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
  try {
    return stream.getReader({ mode: "byob" });
  } catch {
    return stream.getReader();
  }
}

/** As S3 writes MD5 in ETags. */
export function hexOf(checksum: Checksum): string {
  return Array.from(atob(checksum), (byte) => byte.charCodeAt(0).toString(16).padStart(2, "0")).join("");
}
