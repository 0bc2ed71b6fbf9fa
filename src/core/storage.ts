import type { Checksum, ChecksumKind } from "./checksum.ts";
import type { UploadErrorCode } from "./errors.ts";

/**
 * The storage port: how one object gets into S3, whoever holds the credentials. `http-storage` asks the app's server;
 * the server's own implementation asks S3. Bytes never pass through it: they go by `fetch` to a `SignedPart`.
 *
 * Every method settles within a deadline of its own and may reject with a `StorageFault`. None can be canceled, since an
 * answer that comes late still says what is open at S3.
 */
export interface UploadStorage {
  /**
   * Whether the server has answered the last call for the upload's own token, with nobody signed in. That it did says nothing
   * about the user's sign-in, for which other uploads may wait. Absent: never.
   */
  readonly isUnattended?: boolean;
  /**
   * Opens an upload. Not idempotent at S3: a caller that repeats it after a lost answer sets `triedForMs`, and what the
   * lost try left open is aborted first.
   */
  begin(intent: BeginIntent): Promise<BeginAnswer>;
  /**
   * Opens several uploads, of at most `MAX_BEGUN_TOGETHER`, by one request, each as `begin` would. Optional: with it, uploads
   * are begun before their turn, so that the browser can carry them once no page is left.
   *
   * @returns the outcome of each of the first of them, as many as fit into one request
   */
  beginMany?(intents: readonly BeginIntent[]): Promise<readonly (BeginAnswer | StorageFault)[]>;
  /** Presigns PUTs, at most `MAX_SIGNED_PARTS` at once. A single PUT is part 1. */
  sign(token: string, parts: readonly PartToSign[]): Promise<readonly SignedPart[]>;
  /** One page of the parts that S3 holds with numbers above `after`, ascending. */
  uploadedParts(token: string, after: number): Promise<UploadedPartsPage>;
  /** Has S3 put the object together, verifies it, and returns it as S3 reports it. Repeating it is harmless. */
  complete(token: string, parts: readonly PartReceipt[]): Promise<StoredObject>;
  /** Aborts an open upload, which drops its parts. Repeating it is harmless. */
  abort(token: string): Promise<void>;
}

/** The calls of a storage. */
export type StorageCall = Exclude<keyof UploadStorage, "isUnattended">;

/** Uploads that one `beginMany` may ask for. */
export const MAX_BEGUN_TOGETHER = 32;

/** Parts that one `sign` may ask for. */
export const MAX_SIGNED_PARTS = 64;

/** Parts that `begin` presigns: as many as clients send at once before they have asked for more. */
export const MAX_SIGNED_AT_BEGIN = 8;

/** The upload that a client asks to begin. */
export interface BeginIntent {
  /** The page's id of the upload, a UUID. The object carries it as metadata, which tells it from objects of other origin. */
  readonly uploadId: string;
  /** The key that the client asks for. */
  readonly key: string;
  /** The file's size in bytes. */
  readonly size: number;
  /** MIME type, "" where unknown. */
  readonly type: string;
  /** File name, for the server's authorization only. */
  readonly name: string;
  /** Metadata that the app wants the object to have; the server has the last word. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** How the object is sent to S3. */
  readonly method: UploadMethod;
  /** Bytes in each part but the last. For "single": the file's size. */
  readonly partSize: number;
  /** How the bytes are protected on their way. */
  readonly checksum: ChecksumKind;
  /** Milliseconds since the first try whose answer was lost; null for a first try. */
  readonly triedForMs: number | null;
}

/** How an object is sent to S3. "single": one PUT of the whole file. "multipart": parts, in an S3 multipart upload. */
export type UploadMethod = "single" | "multipart";

/** An upload that has begun. */
export interface BeginAnswer {
  /** Names this one upload in all later calls, and what it may do. Opaque to the client; it expires. */
  readonly token: string;
  /** The key as the server decided it; it may differ from the one asked for. */
  readonly key: string;
  /**
   * Its first parts, presigned as by `sign`, so that they need not wait for another round trip. None where signatures need the
   * bytes' checksums, or the storage leaves it to `sign`.
   */
  readonly signed?: readonly SignedPart[] | undefined;
}

/** A part whose PUT is to be signed. */
export interface PartToSign {
  /** From 1. */
  readonly partNumber: number;
  /** The checksum for the signed headers; null for the kinds that need no signature. */
  readonly checksum: Checksum | null;
}

/** A presigned PUT that stores a part's bytes. It must be sent as given; only `Content-MD5` may be added. */
export interface SignedPart {
  /** From 1. */
  readonly partNumber: number;
  /** The presigned URL. */
  readonly url: string;
  /** The headers that were signed and must be sent. */
  readonly headers: Readonly<Record<string, string>>;
  /** Milliseconds from the answer during which S3 accepts the signature. A span, since the device's clock may be wrong. */
  readonly expiresInMs: number;
}

/** A part as S3 lists it. */
export interface UploadedPart {
  /** From 1. */
  readonly partNumber: number;
  /** The part's ETag, without quotes. */
  readonly etag: string;
  /** The part's size in bytes. */
  readonly size: number;
  /** The `x-amz-checksum-*` of the upload's kind, where S3 reports it; else null. */
  readonly checksum: Checksum | null;
}

/** One page of the parts that S3 lists. */
export interface UploadedPartsPage {
  /** Parts in ascending order of their numbers. */
  readonly parts: readonly UploadedPart[];
  /** The `after` of the next page; null on the last. */
  readonly next: number | null;
}

/** A part that S3 has confirmed, as completing the upload names it. */
export interface PartReceipt {
  /** From 1. */
  readonly partNumber: number;
  /** The part's ETag as S3 gave it, without quotes. */
  readonly etag: string;
  /** The checksum of the device's bytes, of the upload's kind; null where they were not hashed. */
  readonly checksum: Checksum | null;
}

/** An object that S3 holds, as HeadObject reports it. */
export interface StoredObject {
  /** The object's key in the bucket. */
  readonly key: string;
  /** The object's size in bytes. */
  readonly size: number;
  /** The object's ETag, without quotes. */
  readonly etag: string;
  /** URL of the object, without a signature. */
  readonly location: string;
}

/**
 * Why a storage call failed, as far as the caller must know to go on:
 *
 * - `network`: no answer came; the call may or may not have been carried out.
 * - `transient`: the server is overloaded or failing for now (429, 5xx).
 * - `unauthorized`: the user must sign in.
 * - `gone`: S3 knows no such open upload, and its object is not there either.
 * - `partsMismatch`: S3 lacks parts, or holds others than were named.
 * - `permanent`: retrying is of no use.
 */
export type FaultKind = "network" | "transient" | "unauthorized" | "gone" | "partsMismatch" | "permanent";

/** What is known of a fault besides its kind and code. */
export interface FaultDetails {
  /** What exactly was wrong, for people who look into it. */
  readonly detail?: string;
  /** The server's `Retry-After`, in milliseconds. */
  readonly retryAfterMs?: number;
  /** The error that it comes from. */
  readonly cause?: unknown;
}

/** What a storage call rejects with. */
export class StorageFault extends Error {
  /** Tells it from other errors. */
  override readonly name = "StorageFault";
  /** What exactly was wrong, for people who look into it. */
  readonly detail: string | undefined;
  /** The server's `Retry-After`, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(
    /** How to go on. */
    readonly kind: FaultKind,
    /** Why it has failed, as users are told. */
    readonly code: UploadErrorCode,
    details: FaultDetails = {},
  ) {
    super(`${kind}: ${code}${details.detail ? ` (${details.detail})` : ""}`, { cause: details.cause });
    this.detail = details.detail;
    this.retryAfterMs = details.retryAfterMs;
  }
}
