import { HeadObjectCommand, type HeadObjectCommandOutput, type S3Client } from "@aws-sdk/client-s3";
import { isSigned } from "../src/core/checksum.ts";
import { StorageFault } from "../src/core/storage.ts";
import { reportedChecksum } from "./checksums.ts";
import type { UploadClaims } from "./claims.ts";
import { clockOffsetMs, isClockNews } from "./clock.ts";
import { isSameMediaType } from "./media-type.ts";
import { strayHeader, UPLOAD_ID_METADATA } from "./object-settings.ts";
import { required, unquote } from "./s3-answer.ts";
import { isNotFound, toStorageFault } from "./s3-faults.ts";
import { storedType } from "./signer.ts";

/** The object that S3 holds under an upload's key, compared with the upload. */
export type Found =
  | { readonly state: "absent" }
  /** The object carries another upload's id, or none. */
  | { readonly state: "foreign" }
  | { readonly state: "wrongSize"; readonly size: number }
  /** The object has a header that was not signed, or lacks one that was. */
  | { readonly state: "wrongHeader"; readonly name: string }
  | ({ readonly state: "ours" } & FoundObject);

export interface FoundObject {
  /** Bytes. */
  readonly size: number;
  /** The object's ETag, without quotes. */
  readonly etag: string;
  /** Whether it is encrypted by SSE-KMS, DSSE-KMS or SSE-C, with which S3's ETags are not MD5s. */
  readonly hasOwnKey: boolean;
  /** The `x-amz-checksum-*` of the upload's kind, just as S3 gives it; null where it gives none. */
  readonly checksum: string | null;
  /** The object's version, in buckets with versioning; else null. */
  readonly versionId: string | null;
}

export async function findObject(client: S3Client, bucket: string, claims: UploadClaims): Promise<Found> {
  let head: HeadObjectCommandOutput;
  const offsetMs = clockOffsetMs(client);
  try {
    head = await client.send(
      new HeadObjectCommand({
        Bucket: bucket,
        Key: claims.key,
        // The checksum is asked for only where it is needed: with SSE-KMS that takes the permission
        // `kms:Decrypt`.
        ...(isSigned(claims.checksum) && { ChecksumMode: "ENABLED" }),
      }),
    );
  } catch (error) {
    if (isNotFound(error)) return { state: "absent" };
    // An answer to HEAD has no body that would say so, but the SDK has learned by its date that the clocks
    // differ.
    if (isClockNews(client, offsetMs))
      throw new StorageFault("transient", "SERVER_ERROR", {
        detail: "the clocks of the server and of S3 differ",
        cause: toStorageFault(error).cause,
      });
    throw error;
  }
  if (head.Metadata?.[UPLOAD_ID_METADATA] !== claims.uploadId) return { state: "foreign" };
  const size = required(head.ContentLength, "size");
  if (size !== claims.size) return { state: "wrongSize", size };
  const name = wrongHeader(claims, head);
  if (name !== null) return { state: "wrongHeader", name };
  return {
    state: "ours",
    size,
    etag: unquote(required(head.ETag, "ETag")),
    hasOwnKey: head.SSECustomerAlgorithm !== undefined || /^aws:kms/.test(head.ServerSideEncryption ?? ""),
    checksum: reportedChecksum(claims.checksum, head),
    versionId: head.VersionId ?? null,
  };
}

function wrongHeader(
  { type, method, object = {} }: UploadClaims,
  head: HeadObjectCommandOutput,
): string | null {
  const wanted = type === undefined ? undefined : storedType(type);
  // S3 always tells the type. An answer that lacks it says nothing about the object.
  if (wanted !== undefined && !isSameMediaType(wanted, head.ContentType ?? wanted)) return "Content-Type";
  // The headers of a multipart upload were set by whoever opened it, and no part can change them.
  return method === "single" ? strayHeader(object, head) : null;
}
