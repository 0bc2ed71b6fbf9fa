import { createHash, randomBytes } from "node:crypto";

/**
 * The encryption that the store claims in its answers, without encrypting. With keys of its own (SSE-KMS) an
 * ETag says nothing of the bytes: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
 */
export type ServerSideEncryption = "aws:kms";

const SSE = "x-amz-server-side-encryption";

export function encryptionHeaders(sse: ServerSideEncryption | undefined): Record<string, string> {
  return sse === undefined ? {} : { [SSE]: sse };
}

/** ETag of a part, or of an object that came in one PUT. @param md5 hex */
export function etagOf(md5: string, sse: ServerSideEncryption | undefined): string {
  return sse === undefined ? md5 : randomBytes(16).toString("hex");
}

/** MD5 of the parts' MD5s, and their number. */
export function multipartETag(etags: readonly string[], sse: ServerSideEncryption | undefined): string {
  const hash = createHash("md5");
  for (const etag of etags) hash.update(etag, "hex");
  return `${etagOf(hash.digest("hex"), sse)}-${etags.length}`;
}
