import type { S3Client } from "@aws-sdk/client-s3";

/** S3 accepts clocks that are less than 15 min off. Beyond this tolerance the SDK itself signs anew. */
const TOLERANCE_MS = 240_000;

/**
 * How far S3's clock is ahead of this machine's, in milliseconds, as the SDK has learned from S3's answers; 0
 * where that does not matter.
 */
export function clockOffsetMs({ config }: S3Client): number {
  const offsetMs = config.systemClockOffset;
  return Math.abs(offsetMs) < TOLERANCE_MS ? 0 : offsetMs;
}

/** Whether the SDK has learned since that it was wrong about S3's clock. */
export function isClockNews(client: S3Client, offsetMsBefore: number): boolean {
  return Math.abs(clockOffsetMs(client) - offsetMsBefore) >= TOLERANCE_MS / 2;
}
