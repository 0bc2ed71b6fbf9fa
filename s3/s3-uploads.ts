import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListPartsCommand,
} from "@aws-sdk/client-s3";
import { countParts, type PartPlan } from "../src/core/plan-parts.ts";
import {
  type PartReceipt,
  type PartToSign,
  type SignedPart,
  StorageFault,
  type StoredObject,
  type UploadedPart,
  type UploadedPartsPage,
} from "../src/core/storage.ts";
import type { MultipartClaims, SingleClaims, UploadClaims } from "./claims.ts";
import { type OpenIntent, openMultipartUpload } from "./open-upload.ts";
import { isInternalError, isNoSuchUpload, isNotFound, isPartsRefusal, toStorageFault } from "./s3-faults.ts";
import { createSigner, type SignerOptions, UPLOAD_ID_METADATA } from "./signer.ts";

/** The storage port's S3 end, for claims whose token has been checked. Every method rejects with `StorageFault` only. */
export interface S3Uploads {
  /** `openMultipartUpload` */
  open(intent: Omit<OpenIntent, "bucket">, onLeftOpen: (error: StorageFault) => void): Promise<string>;
  /** @throws {StorageFault} hopeless, `REQUEST_INVALID`, for a part number that the upload does not have */
  sign(claims: UploadClaims, parts: readonly PartToSign[]): Promise<readonly SignedPart[]>;
  /**
   * One page as S3 cuts it, at most 1,000 parts. A single PUT is part 1 as soon as its object is there.
   *
   * @throws {StorageFault} gone, for a multipart upload that is not open: aborted, or completed
   */
  parts(claims: UploadClaims, after: number): Promise<UploadedPartsPage>;
  /** @throws {StorageFault} parts; gone; hopeless, `VERIFICATION_FAILED`; busy */
  complete(claims: UploadClaims, receipts: readonly PartReceipt[]): Promise<StoredObject>;
  /** Drops a multipart upload. An object that is there already stays, and so does one that a single PUT may have made. */
  abort(claims: UploadClaims): Promise<void>;
}

export function createS3Uploads(options: SignerOptions): S3Uploads {
  const { client, bucket } = options;
  const signer = createSigner(options);

  async function sign(claims: UploadClaims, parts: readonly PartToSign[]): Promise<readonly SignedPart[]> {
    const plan = planOf(claims);
    const stray = parts.find(({ partNumber }) => partNumber < 1 || partNumber > plan.partCount);
    if (stray !== undefined)
      throw new StorageFault("hopeless", "REQUEST_INVALID", {
        detail: `part ${stray.partNumber} of an upload of ${plan.partCount} parts`,
      });
    return Promise.all(
      parts.map(({ partNumber }) =>
        claims.method === "single" ? signer.signSingle(claims) : signer.signPart(claims, plan, partNumber),
      ),
    );
  }

  async function listParts(claims: MultipartClaims, after: number): Promise<UploadedPartsPage> {
    const page = await client.send(
      new ListPartsCommand({ ...uploadOf(claims), PartNumberMarker: String(after) }),
    );
    const parts = (page.Parts ?? []).map(
      ({ PartNumber, ETag, Size }): UploadedPart => ({
        partNumber: required(PartNumber, "part number"),
        etag: unquote(required(ETag, "ETag")),
        size: required(Size, "size"),
        checksum: null,
      }),
    );
    const next = page.IsTruncated ? Number(page.NextPartNumberMarker) : null;
    if (next !== null && !(next > after)) throw invalidAnswer("its list of parts does not go on");
    return { parts, next };
  }

  async function lookUpSingle(claims: SingleClaims, after: number): Promise<UploadedPartsPage> {
    const found = await find(claims);
    if (found.state !== "ours" || after >= 1) return { parts: [], next: null };
    const { etag, size } = found.object;
    return { parts: [{ partNumber: 1, etag, size, checksum: null }], next: null };
  }

  /** What S3 holds under the upload's key. */
  async function find(claims: UploadClaims): Promise<Found> {
    let head: HeadObjectCommandOutput;
    try {
      head = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: claims.key }));
    } catch (error) {
      if (isNotFound(error)) return { state: "absent" };
      throw error;
    }
    if (head.Metadata?.[UPLOAD_ID_METADATA] !== claims.uploadId) return { state: "foreign" };
    const size = required(head.ContentLength, "size");
    if (size !== claims.size) return { state: "wrongSize", size };
    const etag = unquote(required(head.ETag, "ETag"));
    return {
      state: "ours",
      object: { key: claims.key, size, etag, location: await signer.locate(claims.key) },
    };
  }

  async function completeSingle(
    claims: SingleClaims,
    receipts: readonly PartReceipt[],
  ): Promise<StoredObject> {
    const found = await find(claims);
    if (found.state === "absent") throw mismatch("no object is there");
    const object = verified(found);
    if (receipts[0]?.etag !== object.etag) throw mismatch("the object's ETag is another one");
    return object;
  }

  async function completeMultipart(
    claims: MultipartClaims,
    receipts: readonly PartReceipt[],
  ): Promise<StoredObject> {
    try {
      const answer = await client.send(
        new CompleteMultipartUploadCommand({
          ...uploadOf(claims),
          MultipartUpload: {
            Parts: receipts.map(({ partNumber, etag }) => ({ PartNumber: partNumber, ETag: `"${etag}"` })),
          },
        }),
      );
      // S3 begins its answer before it knows how it ends: a 200 may carry an error. The SDK throws for those it recognizes.
      if (answer.Bucket === undefined && answer.Key === undefined && answer.Location === undefined)
        throw new StorageFault("busy", "SERVER_ERROR", { detail: "the storage's answer names no object" });
    } catch (error) {
      if (isPartsRefusal(error)) throw mismatch(toStorageFault(error).detail ?? "", error);
      return await completedBefore(claims, error);
    }
    const found = await find(claims);
    if (found.state === "absent")
      throw new StorageFault("busy", "SERVER_ERROR", { detail: "the object can't be seen yet" });
    return verified(found);
  }

  /** An upload that is no longer open was either dropped or completed by an earlier try whose answer was lost. */
  async function completedBefore(claims: MultipartClaims, refusal: unknown): Promise<StoredObject> {
    if (!isNoSuchUpload(refusal) && !isInternalError(refusal)) throw refusal;
    // In this order: an upload that ends between the two looks is found as an object by the second.
    if (!isNoSuchUpload(refusal) && (await isOpen(claims))) throw refusal;
    const found = await find(claims);
    if (found.state === "absent" || found.state === "foreign")
      throw new StorageFault("gone", "UPLOAD_GONE", { cause: toStorageFault(refusal).cause });
    return verified(found);
  }

  async function isOpen(claims: MultipartClaims): Promise<boolean> {
    try {
      await client.send(new ListPartsCommand({ ...uploadOf(claims), MaxParts: 1 }));
      return true;
    } catch (error) {
      if (isNoSuchUpload(error)) return false;
      throw error;
    }
  }

  async function abortMultipart(claims: MultipartClaims): Promise<void> {
    try {
      await client.send(new AbortMultipartUploadCommand(uploadOf(claims)));
    } catch (error) {
      if (!isNoSuchUpload(error)) throw error;
    }
  }

  function uploadOf(claims: MultipartClaims) {
    return { Bucket: bucket, Key: claims.key, UploadId: claims.s3UploadId };
  }

  return {
    open: (intent, onLeftOpen) => settle(openMultipartUpload(client, { bucket, ...intent }, onLeftOpen)),
    sign: (claims, partNumbers) => settle(sign(claims, partNumbers)),
    parts: (claims, after) =>
      settle(claims.method === "single" ? lookUpSingle(claims, after) : listParts(claims, after)),
    async complete(claims, receipts) {
      const ordered = inOrder(claims, receipts);
      return settle(
        claims.method === "single" ? completeSingle(claims, ordered) : completeMultipart(claims, ordered),
      );
    },
    abort: async (claims) => (claims.method === "single" ? undefined : settle(abortMultipart(claims))),
  };
}

type Found =
  | { readonly state: "absent" }
  /** It carries another upload's id, or none. */
  | { readonly state: "foreign" }
  | { readonly state: "wrongSize"; readonly size: number }
  | { readonly state: "ours"; readonly object: StoredObject };

function verified(found: Exclude<Found, { state: "absent" }>): StoredObject {
  switch (found.state) {
    case "ours":
      return found.object;
    case "foreign":
      throw new StorageFault("hopeless", "VERIFICATION_FAILED", {
        detail: "the object is of another upload",
      });
    case "wrongSize":
      throw new StorageFault("hopeless", "VERIFICATION_FAILED", {
        detail: `the object has ${found.size} bytes`,
      });
  }
}

export function planOf(claims: UploadClaims): PartPlan {
  const { size } = claims;
  if (claims.method === "single") return { size, partSize: size, partCount: 1 };
  return { size, partSize: claims.partSize, partCount: countParts(size, claims.partSize) };
}

/** S3 wants the parts in ascending order. It would also make an object of some of them only. */
function inOrder(claims: UploadClaims, receipts: readonly PartReceipt[]): readonly PartReceipt[] {
  const { partCount } = planOf(claims);
  const ordered = receipts.toSorted((a, b) => a.partNumber - b.partNumber);
  if (ordered.length !== partCount || ordered.some(({ partNumber }, index) => partNumber !== index + 1))
    throw mismatch(`parts 1 to ${partCount} are needed, each once`);
  return ordered;
}

function mismatch(detail: string, cause?: unknown): StorageFault {
  const known = cause === undefined ? {} : { cause: toStorageFault(cause).cause };
  return new StorageFault("parts", "PARTS_MISMATCH", { detail, ...known });
}

export function required<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw invalidAnswer(`it has no ${what}`);
  return value;
}

export function invalidAnswer(detail: string): StorageFault {
  return new StorageFault("hopeless", "STORAGE_RESPONSE_INVALID", { detail });
}

/** Some engines quote ETags, some don't. */
export function unquote(etag: string): string {
  return etag.replaceAll('"', "");
}

async function settle<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw toStorageFault(error);
  }
}
