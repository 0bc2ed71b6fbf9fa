import { type ChecksumKind, looksLikeMd5 } from "../../src/core/checksum.ts";
import { UploadError } from "../../src/core/errors.ts";
import { type PartPlan, partByteRange } from "../../src/core/part-plan.ts";
import type { PartReceipt } from "../../src/core/storage.ts";
import { type ChecksumAlgorithm, hexOf } from "./checksums.ts";

export interface SourceComparison {
  /** A part that S3 has is surely not of this source. */
  readonly isOther: boolean;
  /** Parts of which that can't be told, ascending. */
  readonly unknown: readonly number[];
}

export interface CompareOptions {
  readonly plan: PartPlan;
  /** Of the parts that S3 has. */
  readonly receipts: readonly PartReceipt[];
  readonly kind: ChecksumKind;
  readonly algorithmOf: (kind: ChecksumKind) => ChecksumAlgorithm | undefined;
}

/**
 * Compares a file that is given back with every part that S3 has of the one that was lost, by the digests made when those were
 * sent; where there is none, by ETags that are MD5s. It reads as much of the file as S3 has, once, and stops at the first
 * difference.
 *
 * @throws {UploadError} `CHECKSUM_UNAVAILABLE`; `FILE_LOST` if the source can't be read
 */
export async function compareSource(
  source: Blob,
  { plan, receipts, kind, algorithmOf }: CompareOptions,
): Promise<SourceComparison> {
  const digest = algorithmOf(kind === "none" ? "md5" : kind)?.digest;
  if (!digest) throw new UploadError("CHECKSUM_UNAVAILABLE", kind);
  const unknown: number[] = [];
  const differing: number[] = [];
  let hasMd5ETags = false;
  for (const { partNumber, etag, checksum: sent } of endsFirst(receipts)) {
    if (sent === null && !((kind === "md5" || kind === "none") && looksLikeMd5(etag))) {
      unknown.push(partNumber);
      continue;
    }
    const { start, end } = partByteRange(plan, partNumber);
    const actual = await digest(source.slice(start, end)).catch((cause: unknown) => {
      throw cause instanceof UploadError ? cause : new UploadError("FILE_LOST", undefined, { cause });
    });
    if (sent !== null) {
      if (actual !== sent) return { isOther: true, unknown };
    } else if (hexOf(actual) === etag.toLowerCase()) hasMd5ETags = true;
    else differing.push(partNumber);
    // With SSE-KMS no ETag is an MD5; but if one is, all are.
    if (hasMd5ETags && differing.length > 0) return { isOther: true, unknown };
  }
  return { isOther: false, unknown: [...unknown, ...differing].sort((a, b) => a - b) };
}

/** Another file, or another version of it, differs there most often. */
function endsFirst(receipts: readonly PartReceipt[]): readonly PartReceipt[] {
  const last = receipts.slice(-1);
  return receipts.length < 3 ? receipts : [...receipts.slice(0, 1), ...last, ...receipts.slice(1, -1)];
}
