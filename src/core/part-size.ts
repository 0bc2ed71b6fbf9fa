import { UploadError } from "./errors.ts";
import { MIB, S3_LIMITS, type StorageLimits } from "./limits.ts";
import { checkSize } from "./plan-parts.ts";

/**
 * The part size for a file, in bytes: small enough that little is sent twice after a death, large enough that requests
 * don't dominate.
 */
export function partSizeFor(size: number, limits: StorageLimits = S3_LIMITS): number {
  checkSize(size, limits);
  return withinLimits(preferredPartSize(size), size, limits);
}

function preferredPartSize(size: number): number {
  if (size <= 100 * MIB) return 5 * MIB;
  if (size <= 1_024 * MIB) return 10 * MIB;
  if (size <= 10_240 * MIB) return 25 * MIB;
  return 50 * MIB;
}

/** Raises a part size until the file fits into the allowed number of parts, in whole MiB. */
function withinLimits(partSize: number, size: number, limits: StorageLimits): number {
  const smallest = Math.ceil(Math.ceil(size / limits.maxParts) / MIB) * MIB;
  return Math.min(Math.max(partSize, smallest, limits.minPartBytes), limits.maxPartBytes);
}

/** @throws {UploadError} `OPTION_INVALID` */
export function checkByteCount(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new UploadError("OPTION_INVALID", `${name} is ${value}, not a number of bytes`);
}
