import { createCRC32, createCRC64, createMD5, createSHA256, type IHasher } from "hash-wasm";
import type { Checksum, ChecksumKind } from "../src/core/checksum.ts";
import { UploadError } from "../src/core/errors.ts";

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

/**
 * The digest of some bytes, read as a stream.
 *
 * @throws {UploadError} `FILE_LOST`, `SOURCE_CHANGED` if they can't be read
 */
export async function digest(bytes: Blob, create: () => Promise<IHasher>): Promise<Checksum> {
  const hasher = await create();
  hasher.init();
  const reader = bytes.stream().getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      hasher.update(value);
    }
  } catch (cause) {
    throw unreadable(cause);
  }
  return btoa(String.fromCharCode(...hasher.digest("binary")));
}

/** Why a file's bytes can't be read. Browsers notice that a file on disk was written to, and refuse it from then on. */
export function unreadable(cause: unknown): UploadError {
  const isChanged = cause instanceof DOMException && cause.name === "NotReadableError";
  return new UploadError(isChanged ? "SOURCE_CHANGED" : "FILE_LOST", undefined, { cause });
}

/** As S3 writes MD5 in ETags. */
export function hexOf(checksum: Checksum): string {
  return Array.from(atob(checksum), (byte) => byte.charCodeAt(0).toString(16).padStart(2, "0")).join("");
}
