import { type Checksum, type ChecksumKind, isSigned } from "../src/core/checksum.ts";

/** The kinds that S3 itself calls checksums. */
export type SignedKind = Extract<ChecksumKind, "crc32c" | "crc64nvme" | "sha256">;

const BYTES = { md5: 16, crc32c: 4, crc64nvme: 8, sha256: 32 } as const;

/**
 * Whether the text is a digest of the kind, written as S3 does: `atob` overlooks white space, padding and
 * stray last bits.
 */
export function isChecksumOf(kind: Exclude<ChecksumKind, "none">, text: string): boolean {
  if (!/^[A-Za-z\d+/]+={0,2}$/.test(text) || text.length % 4 !== 0) return false;
  const bytes = bytesOf(text);
  return bytes.length === BYTES[kind] && checksumOf(bytes) === text;
}

export function bytesOf(checksum: Checksum): Uint8Array {
  return Uint8Array.from(atob(checksum), (character) => character.charCodeAt(0));
}

export function checksumOf(digest: Uint8Array): Checksum {
  return btoa(Array.from(digest, (byte) => String.fromCharCode(byte)).join(""));
}

export function hexOf(checksum: Checksum): string {
  return Array.from(bytesOf(checksum), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function bytesOfHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** The kind's name in S3's API: `CRC32C`. */
export function algorithmOf(kind: SignedKind): Uppercase<SignedKind> {
  return kind.toUpperCase() as Uppercase<SignedKind>;
}

/** The header that a part of the kind is sent with. */
export function headerOf(kind: SignedKind): string {
  return `x-amz-checksum-${kind}`;
}

/** Where the SDK's inputs and outputs have a checksum. */
type ChecksumFields = { readonly [K in `Checksum${Uppercase<SignedKind>}`]?: string | undefined };

/** The checksum as a field of the SDK's inputs; none for the kinds that S3 doesn't call checksums. */
export function checksumField(kind: ChecksumKind, checksum: Checksum | null): ChecksumFields {
  if (!isSigned(kind) || checksum === null) return {};
  return { [`Checksum${algorithmOf(kind)}`]: checksum };
}

/** The checksum of the kind just as S3 reports it, of whatever type; null if it reports none. */
export function reportedChecksum(kind: ChecksumKind, answer: ChecksumFields): string | null {
  return isSigned(kind) ? (answer[`Checksum${algorithmOf(kind)}`] ?? null) : null;
}

/** The reported text, if it is one checksum of the kind: of a part, or of an object that came in one PUT. */
export function partChecksum(kind: ChecksumKind, reported: string | null): Checksum | null {
  return kind !== "none" && reported !== null && isChecksumOf(kind, reported) ? reported : null;
}
