/**
 * How parts are protected on their way.
 *
 * - `md5`: sent as `Content-MD5`, which every S3 engine checks; it is also what a part's ETag is, unless SSE-KMS is on.
 * - `crc32c`, `crc64nvme`, `sha256`: sent as a signed `x-amz-checksum-*` header, which S3 checks, keeps, and reports. Not
 *   every engine knows them (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html).
 * - `none`: by TLS alone.
 */
export const CHECKSUM_KINDS = ["md5", "crc32c", "crc64nvme", "sha256", "none"] as const;
/** One of `CHECKSUM_KINDS`. */
export type ChecksumKind = (typeof CHECKSUM_KINDS)[number];

/** A digest as S3 writes it: base64 of its bytes, the highest first. */
export type Checksum = string;

/** S3 must have the checksum with the signature, since it goes in a signed header. `Content-MD5` needs no signature. */
export function isSigned(kind: ChecksumKind): kind is "crc32c" | "crc64nvme" | "sha256" {
  return kind !== "md5" && kind !== "none";
}

/** Whether an ETag may be the MD5 of the bytes, as it is of a part unless SSE-KMS is on. */
export function looksLikeMd5(etag: string): boolean {
  return /^[\da-f]{32}$/i.test(etag);
}
