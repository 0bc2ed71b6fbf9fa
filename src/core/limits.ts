/**
 * The limits of an S3 engine. The defaults are Amazon S3's
 * (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html); pass others for an engine that differs.
 */
export interface StorageLimits {
  /** Smallest part but the last, in bytes. */
  readonly minPartBytes: number;
  /** Largest part, and largest body of a single PUT, in bytes. */
  readonly maxPartBytes: number;
  /** Parts in one multipart upload; part numbers run from 1 to this. */
  readonly maxParts: number;
  /** Largest object, in bytes. */
  readonly maxObjectBytes: number;
  /** Longest key, in bytes of UTF-8. */
  readonly maxKeyBytes: number;
}

export const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** The limits of Amazon S3. */
export const S3_LIMITS = {
  minPartBytes: 5 * MIB,
  maxPartBytes: 5 * GIB,
  maxParts: 10_000,
  // 10,000 parts of 5 GiB. The 5 TiB that S3 used to enforce is being raised, and S3 itself answers EntityTooLarge.
  maxObjectBytes: 10_000 * 5 * GIB,
  maxKeyBytes: 1_024,
} as const satisfies StorageLimits;
