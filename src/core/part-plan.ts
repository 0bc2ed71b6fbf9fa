import { UploadError } from "./errors.ts";
import { S3_LIMITS, type StorageLimits } from "./limits.ts";

/** How a file is cut: `partCount` parts of `partSize` bytes, the last one shorter or as long. An empty file has one empty part. */
export interface PartPlan {
  /** Bytes of the whole file. */
  readonly size: number;
  /** Bytes of every part but the last. R2 wants them all alike, so a plan has one size. */
  readonly partSize: number;
  readonly partCount: number;
}

export interface ByteRange {
  /** First byte. */
  readonly start: number;
  /** The offset after the last byte, as in `Blob.slice`. */
  readonly end: number;
}

/**
 * @throws {UploadError} `FILE_TOO_LARGE` if no lawful part size covers the file; `PART_SIZE_INVALID` if this one does not.
 */
export function planParts(size: number, partSize: number, limits: StorageLimits = S3_LIMITS): PartPlan {
  checkSize(size, limits);
  if (!Number.isSafeInteger(partSize) || partSize < limits.minPartBytes || partSize > limits.maxPartBytes)
    throw new UploadError(
      "PART_SIZE_INVALID",
      `${partSize} bytes, while ${limits.minPartBytes} to ${limits.maxPartBytes} are allowed`,
    );
  const partCount = countParts(size, partSize);
  if (partCount > limits.maxParts)
    throw new UploadError(
      "PART_SIZE_INVALID",
      `${partCount} parts of ${partSize} bytes, while ${limits.maxParts} parts are allowed`,
    );
  return { size, partSize, partCount };
}

/** @throws {UploadError} `FILE_INVALID` if it is no size at all; `FILE_TOO_LARGE` */
export function checkSize(size: number, limits: StorageLimits = S3_LIMITS): void {
  if (!Number.isSafeInteger(size) || size < 0) throw new UploadError("FILE_INVALID", `its size is ${size}`);
  const largest = Math.min(limits.maxObjectBytes, limits.maxParts * limits.maxPartBytes);
  if (size > largest) throw new UploadError("FILE_TOO_LARGE", `${size} bytes; the limit is ${largest}`);
}

export function countParts(size: number, partSize: number): number {
  return Math.max(1, Math.ceil(size / partSize));
}

/** The bytes of part `partNumber`, counted from 1. */
export function partByteRange(plan: PartPlan, partNumber: number): ByteRange {
  const start = (partNumber - 1) * plan.partSize;
  return { start, end: Math.min(start + plan.partSize, plan.size) };
}

export function partBytes(plan: PartPlan, partNumber: number): number {
  const { start, end } = partByteRange(plan, partNumber);
  return end - start;
}
