import type { PartReceipt } from "./storage.ts";

/**
 * A list of parts by digests, where it is too long to be sent: body parsers in front of a server take 100 kB by default, which
 * 1,300 parts fill. S3 has the list as well, and it is compared with these.
 */
export interface ListedParts {
  /** Parts from 1 to this, each once. */
  readonly count: number;
  /** SHA-256, in base64, of `etagLines`. */
  readonly etags: string;
  /** SHA-256, in base64, of `checksumLines`; null where some part was not hashed, or S3's list could not tell. */
  readonly checksums: string | null;
}

/** What `ListedParts.etags` is the digest of: `1 <etag>`, a line for each part, ascending. */
export function etagLines(parts: readonly Pick<PartReceipt, "partNumber" | "etag">[]): string {
  return parts.map(({ partNumber, etag }) => `${partNumber} ${etag}\n`).join("");
}

/** What `ListedParts.checksums` is the digest of: `1 <checksum>`, a line for each part, ascending. */
export function checksumLines(parts: readonly Pick<PartReceipt, "partNumber" | "checksum">[]): string {
  return parts.map(({ partNumber, checksum }) => `${partNumber} ${checksum}\n`).join("");
}
