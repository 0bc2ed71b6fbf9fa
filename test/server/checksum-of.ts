import { createHash } from "node:crypto";
import { crc32, crc64 } from "hash-wasm";
import type { Checksum, ChecksumKind } from "../../src/core/checksum.ts";

/** As a device hashes what it sends. */
export async function checksumOf(kind: ChecksumKind, bytes: Uint8Array): Promise<Checksum | null> {
  switch (kind) {
    case "md5":
    case "sha256":
      return createHash(kind).update(bytes).digest("base64");
    case "crc32c":
      return base64(await crc32(bytes, 0x82f63b78));
    case "crc64nvme":
      return base64(await crc64(bytes, "9a6c9329ac4bc9b5"));
    case "none":
      return null;
    default:
      return kind satisfies never;
  }
}

function base64(hex: string): string {
  return Buffer.from(hex, "hex").toString("base64");
}

/** The same bytes, but for one bit. */
export function withFlippedBit(bytes: Uint8Array): Uint8Array {
  const middle = Math.floor(bytes.length / 2);
  return bytes.map((byte, index) => (index === middle ? byte ^ 1 : byte));
}
