import { MIB, S3_LIMITS, type StorageLimits } from "../../src/core/limits.ts";
import type { PartSizing } from "../../src/core/options.ts";
import { checkSize } from "../../src/core/part-plan.ts";

const ADAPTIVE_SECONDS = 10;
/** A death costs at most this for each part on its way, however fast the link was. */
const LARGEST_ADAPTIVE = 64 * MIB;

/** @param partSpeed Bytes per second of one part among the parallel ones; null if none was measured yet. */
export function partSizeFor(
  size: number,
  sizing: PartSizing,
  partSpeed: number | null,
  limits: StorageLimits = S3_LIMITS,
): number {
  checkSize(size, limits);
  return withinLimits(preferredPartSize(size, sizing, partSpeed), size, limits);
}

function preferredPartSize(size: number, sizing: PartSizing, partSpeed: number | null): number {
  switch (sizing.strategy) {
    case "fixed":
      return sizing.bytes;
    case "bySize":
      return partSizeBySize(size);
    case "adaptive": {
      if (partSpeed === null) return partSizeBySize(size);
      const wanted = Math.round((partSpeed * (sizing.seconds ?? ADAPTIVE_SECONDS)) / MIB) * MIB;
      return Math.min(wanted, LARGEST_ADAPTIVE);
    }
  }
}

function partSizeBySize(size: number): number {
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
