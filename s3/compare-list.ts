import { isSigned, looksLikeMd5 } from "../src/core/checksum.ts";
import { checksumLines, etagLines, type ListedParts } from "../src/core/listed-parts.ts";
import type { PartReceipt, UploadedPart } from "../src/core/storage.ts";
import { bytesOfHex, checksumOf } from "./checksums.ts";
import type { MultipartClaims } from "./claims.ts";

/**
 * The receipts that the client has, made of S3's list; undefined if S3 holds other parts than the client has sent.
 *
 * @param listed all that S3 lists, ascending
 */
export async function receiptsOf(
  { checksum: kind }: MultipartClaims,
  listed: readonly UploadedPart[],
  sent: ListedParts,
): Promise<readonly PartReceipt[] | undefined> {
  if (listed.length !== sent.count || (await sha256(etagLines(listed))) !== sent.etags) return undefined;
  const hashed = listed.map(({ partNumber, etag, checksum }) => {
    const md5 = kind === "md5" && looksLikeMd5(etag) ? checksumOf(bytesOfHex(etag)) : null;
    return { partNumber, etag, checksum: isSigned(kind) ? checksum : md5 };
  });
  const isHashed = hashed.every(({ checksum }) => checksum !== null);
  // Not every engine that checks such checksums lists them.
  if (sent.checksums === null || (isSigned(kind) && !isHashed))
    return hashed.map((receipt) => ({ ...receipt, checksum: null }));
  return (await sha256(checksumLines(hashed))) === sent.checksums ? hashed : undefined;
}

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return checksumOf(new Uint8Array(digest));
}
