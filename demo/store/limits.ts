/**
 * S3's limits.
 * Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html and the API reference of each operation.
 */
export const MIN_PART_BYTES = 5 * 1024 ** 2;
export const MAX_PART_BYTES = 5 * 1024 ** 3;
export const MAX_PUT_BYTES = 5 * 1024 ** 3;
/**
 * The least size of a chunk in aws-chunked framing:
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
 */
export const MIN_CHUNK_BYTES = 8 * 1024;
export const MAX_PART_NUMBER = 10_000;
export const MAX_PAGE_ENTRIES = 1_000;
export const MAX_KEY_BYTES = 1024;
export const MAX_METADATA_BYTES = 2 * 1024;
export const MAX_CORS_RULES = 100;

/** Header authentication: how far the client's clock may be off. */
export const MAX_CLOCK_SKEW_MS = 15 * 60 * 1000;
export const MAX_PRESIGNED_SECONDS = 7 * 24 * 60 * 60;

/** Ours, not S3's: a CompleteMultipartUpload naming 10,000 parts with checksums stays well below it. */
export const MAX_XML_BYTES = 8 * 1024 ** 2;
