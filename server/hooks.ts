import type { UploadClaims } from "../s3/claims.ts";
import type { VerifiedObject } from "../s3/s3-uploads.ts";
import type { ChecksumKind } from "../src/core/checksum.ts";
import type { UploadErrorCode } from "../src/core/errors.ts";
import type { Operation } from "../src/core/http-api.ts";
import { StorageFault, type UploadMethod } from "../src/core/storage.ts";

/** An upload, as the app allowed it at `begin`. */
export interface HookedUpload {
  /** A unique id that this server made at `begin`. Use it to recognise a repeated call of a hook. */
  readonly id: string;
  /** The page's id of the upload, which the client chose. A repeated `begin` has the same one. */
  readonly uploadId: string;
  /** Name of the bucket. */
  readonly bucket: string;
  /** The object's key, as `authorize` decided it. */
  readonly key: string;
  /** The owner that `authorize` named; null if none. */
  readonly owner: string | null;
  /** The file's size in bytes. */
  readonly size: number;
  /** The object's MIME type; "" where unknown. */
  readonly type: string;
  /** Whether the object is sent in one PUT or in parts. */
  readonly method: UploadMethod;
  /** How the bytes are protected on their way. */
  readonly checksumKind: ChecksumKind;
  /** The object's metadata, without the one that Backhaul adds. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** A completed upload, with the object as HeadObject reports it. */
export interface CompletedUpload extends HookedUpload {
  /** The object's ETag, without quotes. */
  readonly etag: string;
  /** The `x-amz-checksum-*` of the upload's kind, as S3 writes it; null where S3 reports none. */
  readonly checksum: string | null;
  /** The object's version, in buckets with versioning; else null. */
  readonly versionId: string | null;
  /** URL of the object, without a signature. */
  readonly location: string;
}

/** One request and its outcome. */
export interface AuditEntry {
  /** When the request was answered, by this server's clock. */
  readonly at: Date;
  /** The API's operation; null for a request that asked for none of them. */
  readonly operation: Operation | null;
  /**
   * "refused": the client was not allowed to, or sent an invalid request. "failed": this server or S3 failed.
   */
  readonly outcome: "done" | "refused" | "failed";
  /** HTTP status of the response. */
  readonly status: number;
  /** Why the request was refused or failed; null if it was done. */
  readonly code: UploadErrorCode | null;
  /**
   * The object's key; null where it is not known. Until `authorize` has decided on the key, it is as the client
   * sent it, line breaks included.
   */
  readonly key: string | null;
  /** The owner that `authorize` named; null where it is not known, or there is none. */
  readonly owner: string | null;
}

/**
 * Functions by which the app learns of uploads. The handler waits for the promises that they return, except for
 * `audit`'s.
 */
export interface UploadHooks {
  /**
   * Called when an upload has begun, before the client is answered. If it throws, the upload is aborted and the
   * client retries.
   * @default none
   */
  readonly onBegin?: (upload: HookedUpload, request: Request) => unknown;
  /**
   * Called when an object is complete and was verified, before the client is answered. If it throws, the client
   * retries, and it is called again. So it is called at least once for each upload that is `done` on a client,
   * and perhaps again, even at the same time, with the same `id`.
   * @default none
   */
  readonly onComplete?: (upload: CompletedUpload, request: Request) => unknown;
  /**
   * Called when a client has aborted an upload and its object is not there; at least once, like `onComplete`.
   * It is not called for uploads whose client never comes back: the bucket's lifecycle rule aborts those.
   * @default none
   */
  readonly onAbort?: (upload: HookedUpload, request: Request) => unknown;
  /**
   * Called for each request once it is answered: who did what to which key, and the outcome. The entry holds no
   * tokens or signed URLs. Errors that the function throws are ignored.
   * @default none
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

/** @throws {StorageFault} transient, so that the client retries */
export async function callHook(name: keyof UploadHooks, call: () => unknown): Promise<void> {
  try {
    await call();
  } catch (cause) {
    throw new StorageFault("transient", "SERVER_ERROR", { detail: `${name} failed`, cause });
  }
}
