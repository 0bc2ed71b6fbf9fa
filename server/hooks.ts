import type { UploadClaims } from "../s3/claims.ts";
import type { VerifiedObject } from "../s3/s3-uploads.ts";
import type { ChecksumKind } from "../src/core/checksum.ts";
import type { UploadErrorCode } from "../src/core/errors.ts";
import type { Operation } from "../src/core/http-api.ts";
import { StorageFault, type UploadMethod } from "../src/core/storage.ts";

/** An upload, as the app allowed it at `begin`. */
export interface HookedUpload {
  /** Made by this server at `begin`, and unique. By it a repeated call is recognised. */
  readonly id: string;
  /**
   * The page's id of the upload, which the client has made up; a `begin` that is repeated has the same one.
   */
  readonly uploadId: string;
  readonly bucket: string;
  readonly key: string;
  /** The owner that `authorize` named; null if none. */
  readonly owner: string | null;
  /** Bytes. */
  readonly size: number;
  /** MIME type, "" where unknown. */
  readonly type: string;
  readonly method: UploadMethod;
  readonly checksumKind: ChecksumKind;
  /** The object's metadata, but for what Backhaul adds. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** An upload whose object is there, as HeadObject reports it. */
export interface CompletedUpload extends HookedUpload {
  /** The object's ETag, without quotes. */
  readonly etag: string;
  /** The `x-amz-checksum-*` of the upload's kind, as S3 writes it; null where S3 reports none. */
  readonly checksum: string | null;
  /** In buckets with versions; else null. */
  readonly versionId: string | null;
  /** URL of the object, without a signature. */
  readonly location: string;
}

/** One request and its outcome. */
export interface AuditEntry {
  readonly at: Date;
  /** The API's operation; null for a request that is none of them. */
  readonly operation: Operation | null;
  /**
   * "refused": the client may not, or asked for what makes no sense. "failed": this server or S3 could not.
   */
  readonly outcome: "done" | "refused" | "failed";
  /** HTTP status of the answer. */
  readonly status: number;
  /** Why it was refused or failed; null if it was done. */
  readonly code: UploadErrorCode | null;
  /**
   * The object's key; null where it is not known. Until `authorize` has named it, it is as the client sent
   * it, line ends and all.
   */
  readonly key: string | null;
  readonly owner: string | null;
}

/**
 * Functions by which the app learns of uploads. A promise that they return is waited for, but for `audit`'s.
 */
export interface UploadHooks {
  /**
   * An upload has begun. The client hears of it afterwards; if this throws, the upload is dropped again and
   * the client retries.
   */
  readonly onBegin?: (upload: HookedUpload, request: Request) => unknown;
  /**
   * An object is complete and was verified. The client hears of it afterwards: if this throws, it asks again,
   * and this is called again. So it is called at least once for each upload that a client calls done, and may
   * be called again, even at the same time, with the same `id`.
   */
  readonly onComplete?: (upload: CompletedUpload, request: Request) => unknown;
  /**
   * An upload was dropped by its client, and its object is not there. At least once, like `onComplete`.
   * Uploads that are never heard of again are dropped by the bucket's lifecycle rule, without this.
   */
  readonly onAbort?: (upload: HookedUpload, request: Request) => unknown;
  /**
   * Called for each request once it is answered: who did what to which key, and its outcome. The entry has no
   * tokens or signed URLs in it. An error that this throws is ignored.
   */
  readonly audit?: (entry: AuditEntry, request: Request) => unknown;
}

export function hookedUpload(claims: UploadClaims): HookedUpload {
  const { id = claims.uploadId, uploadId, bucket, key, owner, size, type = "", method, checksum } = claims;
  const metadata = claims.object?.metadata ?? {};
  return { id, uploadId, bucket, key, owner, size, type, method, checksumKind: checksum, metadata };
}

export function completedUpload(claims: UploadClaims, verified: VerifiedObject): CompletedUpload {
  const { etag, checksum, versionId, location } = verified;
  return { ...hookedUpload(claims), etag, checksum, versionId, location };
}

/** @throws {StorageFault} transient, so that the client asks again */
export async function callHook(name: keyof UploadHooks, call: () => unknown): Promise<void> {
  try {
    await call();
  } catch (cause) {
    throw new StorageFault("transient", "SERVER_ERROR", { detail: `${name} failed`, cause });
  }
}
