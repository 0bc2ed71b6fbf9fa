import type { Checksum, ChecksumKind } from "./checksum.ts";
import type { UploadErrorCode } from "./errors.ts";

/**
 * The storage port: how one object gets into S3, whoever holds the credentials. `http-storage` asks the app's server;
 * the server's own implementation asks S3. Bytes never pass through it: they go by `fetch` to a `SignedRequest`.
 *
 * Every method settles within a deadline of its own and may reject with a `StorageFault`. None can be called off: an
 * answer that comes late still says what is open at S3.
 */
export interface UploadStorage {
  /**
   * Opens an upload. Not idempotent at S3: a caller that repeats it after a lost answer sets `triedForMs`, and what the
   * lost try left open is aborted first.
   */
  begin(intent: BeginIntent): Promise<BeginAnswer>;
  /** Presigns PUTs, at most `MAX_SIGNED_PARTS` at once. A single PUT is part 1. */
  sign(token: string, parts: readonly PartToSign[]): Promise<readonly SignedPart[]>;
  /** One page of the parts that S3 holds with numbers above `after`, ascending. */
  uploadedParts(token: string, after: number): Promise<UploadedPartsPage>;
  /** Makes the object of its parts, checks it, and tells what S3 says it holds. Repeating it is harmless. */
  complete(token: string, parts: readonly PartReceipt[]): Promise<StoredObject>;
  /** Drops an open upload and its parts. Repeating it is harmless. */
  abort(token: string): Promise<void>;
}

/** Parts that one `sign` may ask for. */
export const MAX_SIGNED_PARTS = 64;

export interface BeginIntent {
  /** The page's own id of the upload, a UUID. The object carries it as metadata, by which its maker is told from others. */
  readonly uploadId: string;
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** MIME type, "" where unknown. */
  readonly type: string;
  /** File name, for the server's authorization only. */
  readonly name: string;
  /** Metadata that the app wants the object to have; the server has the last word. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** "single": one PUT of the whole file. */
  readonly method: UploadMethod;
  /** Bytes in each part but the last. For "single": the file's size. */
  readonly partSize: number;
  readonly checksum: ChecksumKind;
  /** Milliseconds since the first try whose answer was lost; null for a first try. */
  readonly triedForMs: number | null;
}

export type UploadMethod = "single" | "multipart";

export interface BeginAnswer {
  /** Opaque to the client. Says what this one upload may do, and expires. */
  readonly token: string;
  /** The key as the server decided it; it may differ from the one asked for. */
  readonly key: string;
}

export interface PartToSign {
  readonly partNumber: number;
  /** Goes into the signed headers; null for the kinds that need no signature. */
  readonly checksum: Checksum | null;
}

/** One request that stores a part's bytes. It goes out as given; `Content-MD5` may be added. */
export interface SignedPart {
  readonly partNumber: number;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Milliseconds from the answer during which S3 takes the signature. A span, since the device's clock may be wrong. */
  readonly expiresInMs: number;
}

export interface UploadedPart {
  readonly partNumber: number;
  /** As S3 gives it, without quotes. */
  readonly etag: string;
  /** Bytes. */
  readonly size: number;
  /** The `x-amz-checksum-*` of the upload's kind, where S3 reports it; else null. */
  readonly checksum: Checksum | null;
}

export interface UploadedPartsPage {
  readonly parts: readonly UploadedPart[];
  /** What to pass as `after` for the next page; null on the last. */
  readonly next: number | null;
}

export interface PartReceipt {
  readonly partNumber: number;
  readonly etag: string;
  /** Of the upload's kind, over the bytes that the device holds; null where they were not hashed. */
  readonly checksum: Checksum | null;
}

/** An object that S3 holds, as HeadObject reports it. */
export interface StoredObject {
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** Without quotes. */
  readonly etag: string;
  /** URL of the object, without a signature. */
  readonly location: string;
}

/**
 * Why a storage call failed, as far as the caller must know to go on:
 *
 * - `network`: no answer came; it may or may not have been carried out.
 * - `transient`: the server asks for patience (429, 5xx).
 * - `unauthorized`: the user must sign in.
 * - `gone`: S3 knows no such open upload, and its object is not there either.
 * - `partsMismatch`: S3 lacks parts, or holds others than were named.
 * - `permanent`: no retry mends it.
 */
export type FaultKind = "network" | "transient" | "unauthorized" | "gone" | "partsMismatch" | "permanent";

export interface FaultDetails {
  readonly detail?: string;
  /** What the server asked for by `Retry-After`, in milliseconds. */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

export class StorageFault extends Error {
  override readonly name = "StorageFault";
  readonly detail: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(
    readonly kind: FaultKind,
    readonly code: UploadErrorCode,
    details: FaultDetails = {},
  ) {
    super(`${kind}: ${code}${details.detail ? ` (${details.detail})` : ""}`, { cause: details.cause });
    this.detail = details.detail;
    this.retryAfterMs = details.retryAfterMs;
  }
}
