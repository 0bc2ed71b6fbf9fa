import { crc32, md5, sha256 } from "hash-wasm";
import { type Checksum, type ChecksumKind, looksLikeMd5 } from "../src/core/checksum.ts";
import { combineCrc64 } from "../src/core/crc64-combine.ts";
import { type PartPlan, partBytes } from "../src/core/part-plan.ts";
import type { PartReceipt } from "../src/core/storage.ts";
import { bytesOf, bytesOfHex, checksumOf, hexOf } from "./checksums.ts";
import type { UploadClaims } from "./claims.ts";
import type { FoundObject } from "./find-object.ts";

/** A receipt whose bytes were hashed. */
type HashedReceipt = PartReceipt & { readonly checksum: Checksum };

/**
 * Whether S3's object is what the device has hashed, part by part. True as well where nothing can be
 * compared: each part was then checked as it was sent, by its `Content-MD5` or checksum. (Only the relay
 * can't send a `Content-MD5`, so that with `md5` and SSE-KMS nothing but TLS protects what comes through it.)
 *
 * @param receipts of all parts, in order; none if they were compared with S3's list before the object was made
 */
export async function isAsSent(
  { checksum: kind, method }: UploadClaims,
  plan: PartPlan,
  receipts: readonly PartReceipt[],
  found: FoundObject,
): Promise<boolean> {
  if (receipts.length === 0)
    return (/-(\d+)$/.exec(found.etag)?.[1] ?? String(plan.partCount)) === String(plan.partCount);
  if (kind === "none" || !receipts.every(isHashed)) return true;
  const isWhole = method === "single";
  if (kind === "md5") return isETagOf(receipts, isWhole, found);
  if (found.checksum === null) return true;
  // The checksum of an object of parts may have their number at its end: `<base64>-3`.
  return found.checksum.replace(/-\d+$/, "") === (await wholeChecksum(kind, plan, receipts, isWhole));
}

/**
 * Whether S3 surely holds other bytes in one of the parts than the device has: this one's ETag is not its
 * MD5, while another's is, so that this engine's ETags are MD5s.
 */
export function hasForeignPart(kind: ChecksumKind, receipts: readonly PartReceipt[]): boolean {
  if (kind !== "md5") return false;
  const hashed = receipts.filter(isHashed);
  return hashed.some(isETagMd5) && !hashed.every(isETagMd5);
}

/**
 * Whether the object's ETag is that of the receipts' bytes. Not every ETag is an MD5, and one that isn't must
 * not be taken for damage; but neither may damage be taken for such an ETag. An ETag that the bytes would not
 * have is let through only if
 *
 * - S3 says that the object is encrypted with a key of the bucket's owner, or
 * - it doesn't look like an MD5, or
 * - this engine's ETags are something else: not one part's is the MD5 of its bytes, nor is the object's made
 *   of its parts' as S3 does it. (Were all parts damaged on their way, it would be.)
 *
 * With an engine of that last sort, a single PUT needs another kind of checksum, since it can be compared by
 * its ETag only.
 */
async function isETagOf(
  receipts: readonly HashedReceipt[],
  isWhole: boolean,
  { etag, hasOwnKey }: FoundObject,
): Promise<boolean> {
  const actual = etag.toLowerCase();
  const digests = receipts.map(({ checksum }) => hexOf(checksum));
  if (actual === (isWhole ? digests[0] : await multipartETag(digests))) return true;
  if (hasOwnKey || !/^[\da-f]{32}(-\d+)?$/.test(actual)) return true;
  if (isWhole || receipts.some(isETagMd5)) return false;
  const partETags = receipts.map((receipt) => receipt.etag);
  return !partETags.every((each) => looksLikeMd5(each)) || actual !== (await multipartETag(partETags));
}

/** @param etags of the parts, in hex */
async function multipartETag(etags: readonly string[]): Promise<string> {
  return `${await md5(bytesOfHex(etags.join("")))}-${etags.length}`;
}

function isETagMd5({ etag, checksum }: HashedReceipt): boolean {
  return etag.toLowerCase() === hexOf(checksum);
}

function isHashed(receipt: PartReceipt): receipt is HashedReceipt {
  return receipt.checksum !== null;
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html */
async function wholeChecksum(
  kind: "crc32c" | "crc64nvme" | "sha256",
  plan: PartPlan,
  receipts: readonly HashedReceipt[],
  isWhole: boolean,
): Promise<Checksum | undefined> {
  if (isWhole) return receipts[0]?.checksum;
  const digests = receipts.map(({ checksum }) => bytesOf(checksum));
  switch (kind) {
    case "crc32c":
      return checksumOf(bytesOfHex(await crc32(concatenate(digests), CRC32C)));
    case "sha256":
      return checksumOf(bytesOfHex(await sha256(concatenate(digests))));
    case "crc64nvme": {
      const crc = combineCrc64(
        receipts.map(({ partNumber, checksum }) => ({
          crc: BigInt(`0x${hexOf(checksum)}`),
          length: partBytes(plan, partNumber),
        })),
      );
      return checksumOf(bytesOfHex(crc.toString(16).padStart(16, "0")));
    }
    default:
      return kind satisfies never;
  }
}

/** The polynomial. */
const CRC32C = 0x82f63b78;

function concatenate(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let end = 0;
  for (const piece of pieces) {
    whole.set(piece, end);
    end += piece.length;
  }
  return whole;
}
