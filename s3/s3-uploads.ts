import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  ListPartsCommand,
} from "@aws-sdk/client-s3";
import { type ChecksumKind, isSigned } from "../src/core/checksum.ts";
import type { ListedParts } from "../src/core/listed-parts.ts";
import { countParts, type PartPlan } from "../src/core/part-plan.ts";
import {
  type PartReceipt,
  type PartToSign,
  type SignedPart,
  StorageFault,
  type StoredObject,
  type UploadedPart,
  type UploadedPartsPage,
} from "../src/core/storage.ts";
import { checksumField, isChecksumOf, partChecksum, reportedChecksum } from "./checksums.ts";
import type { MultipartClaims, SingleClaims, UploadClaims } from "./claims.ts";
import { receiptsOf } from "./compare-list.ts";
import { type Found, findObject } from "./find-object.ts";
import { conditionFields } from "./object-settings.ts";
import { type OpenIntent, openMultipartUpload } from "./open-upload.ts";
import { invalidAnswer, required, unquote } from "./s3-answer.ts";
import {
  isNoSuchUpload,
  isPartsRefusal,
  isPreconditionRefusal,
  isUnclear,
  S3Failure,
  toStorageFault,
} from "./s3-faults.ts";
import type { Signer, SignerOptions } from "./signer.ts";
import { hasForeignPart, isAsSent } from "./verify-object.ts";

/** An object that was compared with what its upload was to be. */
export interface VerifiedObject extends StoredObject {
  /** The `x-amz-checksum-*` of the upload's kind, just as S3 gives it; null where it gives none. */
  readonly checksum: string | null;
  /** The object's version, in buckets with versioning; else null. */
  readonly versionId: string | null;
}

/**
 * The storage port's S3 end, for claims whose token has been checked. Every method rejects with
 * `StorageFault` only.
 */
export interface S3Uploads {
  /** `openMultipartUpload` */
  open(intent: Omit<OpenIntent, "bucket">, onLeftOpen: (error: StorageFault) => void): Promise<string>;
  /**
   * @throws {StorageFault} permanent, `REQUEST_INVALID`, for a part number that the upload does not have, and
   *   for a checksum that is missing, none of the upload's kind, or not to be signed
   */
  sign(claims: UploadClaims, parts: readonly PartToSign[]): Promise<readonly SignedPart[]>;
  /**
   * One page as S3 cuts it, at most 1,000 parts. A single PUT is part 1 as soon as its object is there.
   *
   * @throws {StorageFault} gone, for a multipart upload that is not open: aborted, or completed
   */
  parts(claims: UploadClaims, after: number): Promise<UploadedPartsPage>;
  /** @throws {StorageFault} partsMismatch; gone; permanent, `VERIFICATION_FAILED`; transient */
  complete(claims: UploadClaims, receipts: readonly PartReceipt[]): Promise<StoredObject>;
  /** Like `complete`, but returns all that S3 says of the object. */
  completeVerified(claims: UploadClaims, receipts: readonly PartReceipt[]): Promise<VerifiedObject>;
  /**
   * Like `completeVerified`, of the parts that S3 lists, once those are what was sent. An object that an earlier try has made,
   * whose answer was lost, was compared by that try.
   */
  completeListed(claims: UploadClaims, sent: ListedParts): Promise<VerifiedObject>;
  /** Whether the upload's object is there. */
  isStored(claims: UploadClaims): Promise<boolean>;
  /**
   * Drops a multipart upload. An object that is there already stays, and so does one that a single PUT may
   * have made.
   */
  abort(claims: UploadClaims): Promise<void>;
}

export function createS3Uploads(
  { client, bucket }: Pick<SignerOptions, "client" | "bucket">,
  signer: Signer,
): S3Uploads {
  async function sign(claims: UploadClaims, parts: readonly PartToSign[]): Promise<readonly SignedPart[]> {
    const plan = planOf(claims);
    const stray = parts.find(({ partNumber }) => partNumber < 1 || partNumber > plan.partCount);
    if (stray !== undefined)
      throw invalidRequest(`part ${stray.partNumber} of an upload of ${plan.partCount} parts`);
    for (const part of parts) checkToSign(claims.checksum, part);
    return Promise.all(
      parts.map((part) =>
        claims.method === "single" ? signer.signSingle(claims, part) : signer.signPart(claims, plan, part),
      ),
    );
  }

  async function listParts(claims: MultipartClaims, after: number): Promise<UploadedPartsPage> {
    const page = await client.send(
      new ListPartsCommand({ ...uploadOf(claims), PartNumberMarker: String(after) }),
    );
    // Without this check an answer of something that is not S3 would read as a list of no parts.
    required(page.UploadId, "upload id");
    const parts = (page.Parts ?? []).map(
      (part): UploadedPart => ({
        partNumber: required(part.PartNumber, "part number"),
        etag: unquote(required(part.ETag, "ETag")),
        size: required(part.Size, "size"),
        checksum: partChecksum(claims.checksum, reportedChecksum(claims.checksum, part)),
      }),
    );
    const next = page.IsTruncated ? Number(page.NextPartNumberMarker) : null;
    if (next !== null && !(next > after)) throw invalidAnswer("its list of parts does not go on");
    return { parts, next };
  }

  async function lookUpSingle(claims: SingleClaims, after: number): Promise<UploadedPartsPage> {
    const found = await find(claims);
    if (found.state !== "ours" || after >= 1) return { parts: [], next: null };
    const { etag, size } = found;
    const checksum = partChecksum(claims.checksum, found.checksum);
    return { parts: [{ partNumber: 1, etag, size, checksum }], next: null };
  }

  async function completeSingle(
    claims: SingleClaims,
    receipts: readonly PartReceipt[],
  ): Promise<VerifiedObject> {
    const found = await find(claims);
    if (found.state === "absent") throw mismatch("no object is there");
    if (found.state === "ours" && found.etag !== receipts[0]?.etag)
      throw mismatch("the object's ETag is another one");
    return verified(claims, receipts, found);
  }

  async function completeMultipart(
    claims: MultipartClaims,
    receipts: readonly PartReceipt[],
  ): Promise<VerifiedObject> {
    // To refuse is better than an object that must not be used, in the place of one that perhaps was there.
    if (hasForeignPart(claims.checksum, receipts)) throw mismatch("a part's ETag is not its MD5");
    // Not every engine heeds the condition that is sent with the request.
    if (claims.object?.ifNoneMatch) await requireNoOther(claims);
    try {
      const answer = await client.send(
        new CompleteMultipartUploadCommand({
          ...uploadOf(claims),
          ...conditionFields(claims.object ?? {}),
          MultipartUpload: {
            Parts: receipts.map(({ partNumber, etag, checksum }) => ({
              PartNumber: partNumber,
              ETag: `"${etag}"`,
              ...checksumField(claims.checksum, checksum),
            })),
          },
        }),
      );
      // S3 begins its answer before it knows how it ends: a 200 may carry an error. The SDK throws for those
      // it recognizes.
      if (answer.Bucket === undefined && answer.Key === undefined && answer.Location === undefined)
        throw new S3Failure(
          "InvalidAnswer",
          answer.$metadata.httpStatusCode ?? 200,
          null,
          "it names no object",
        );
    } catch (error) {
      if (isPartsRefusal(error)) throw mismatch(toStorageFault(error).detail ?? "", error);
      return await completedBefore(claims, receipts, error);
    }
    const found = await find(claims);
    if (found.state === "absent")
      throw new StorageFault("transient", "SERVER_ERROR", { detail: "S3 does not show the object yet" });
    return verified(claims, receipts, found);
  }

  /**
   * An upload that is no longer open was either dropped or completed by an earlier try whose answer was lost.
   */
  async function completedBefore(
    claims: MultipartClaims,
    receipts: readonly PartReceipt[],
    refusal: unknown,
  ): Promise<VerifiedObject> {
    if (isPreconditionRefusal(refusal)) await requireNoOther(claims);
    if (!isNoSuchUpload(refusal) && !isUnclear(refusal)) throw refusal;
    // The order matters: an upload that ends between the two requests is found as an object by the second.
    if (!isNoSuchUpload(refusal) && (await isOpen(claims))) throw refusal;
    const found = await find(claims);
    if (found.state === "absent" || found.state === "foreign")
      throw new StorageFault("gone", "UPLOAD_GONE", { cause: toStorageFault(refusal).cause });
    return verified(claims, receipts, found);
  }

  /** @throws {StorageFault} permanent, `OBJECT_EXISTS`, if the key has an object of another upload */
  async function requireNoOther(claims: MultipartClaims): Promise<void> {
    const { state } = await find(claims);
    if (state !== "absent" && state !== "ours")
      throw new StorageFault("permanent", "OBJECT_EXISTS", { detail: claims.key });
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

  function find(claims: UploadClaims): Promise<Found> {
    return findObject(client, bucket, claims);
  }

  async function verified(
    claims: UploadClaims,
    receipts: readonly PartReceipt[],
    found: Exclude<Found, { state: "absent" }>,
  ): Promise<VerifiedObject> {
    const { key, checksum } = claims;
    switch (found.state) {
      case "ours": {
        if (!(await isAsSent(claims, planOf(claims), receipts, found)))
          throw notAsSent(`its ${checksum === "md5" ? "ETag" : checksum} is not that of what was sent`);
        const { size, etag, versionId } = found;
        return { key, size, etag, location: await signer.locate(key), checksum: found.checksum, versionId };
      }
      case "foreign":
        throw notAsSent("the object is of another upload");
      case "wrongSize":
        throw notAsSent(`the object has ${found.size} bytes`);
      case "wrongHeader":
        throw notAsSent(`the object has another ${found.name}`);
    }
  }

  async function completeVerified(
    claims: UploadClaims,
    receipts: readonly PartReceipt[],
  ): Promise<VerifiedObject> {
    const ordered = inOrder(claims, receipts);
    return settle(
      claims.method === "single" ? completeSingle(claims, ordered) : completeMultipart(claims, ordered),
    );
  }

  async function completeListed(claims: UploadClaims, sent: ListedParts): Promise<VerifiedObject> {
    if (claims.method === "single") throw invalidRequest("one PUT has no list of parts");
    const { partCount } = planOf(claims);
    if (sent.count !== partCount) throw mismatch(`parts 1 to ${partCount} are needed, each once`);
    for (let looks = 1; ; looks++) {
      let listed: readonly UploadedPart[];
      try {
        listed = await listAllParts(claims);
      } catch (error) {
        if (!isNoSuchUpload(error)) throw error;
        return completedBefore(claims, [], error);
      }
      const receipts = await receiptsOf(claims, listed, sent);
      if (receipts !== undefined) return completeMultipart(claims, inOrder(claims, receipts));
      if (looks === LOOKS_AT_LIST) throw mismatch("S3 lists other parts than were sent");
      // Not every engine lists at once what it has taken.
      await new Promise((resolve) => setTimeout(resolve, looks * LOOK_AGAIN_MS));
    }
  }

  async function listAllParts(claims: MultipartClaims): Promise<readonly UploadedPart[]> {
    const all: UploadedPart[] = [];
    for (let after: number | null = 0; after !== null; ) {
      const page: UploadedPartsPage = await listParts(claims, after);
      all.push(...page.parts);
      after = page.next;
    }
    return all;
  }

  function uploadOf(claims: MultipartClaims) {
    return { Bucket: bucket, Key: claims.key, UploadId: claims.s3UploadId };
  }

  return {
    open: (intent, onLeftOpen) => settle(openMultipartUpload(client, { bucket, ...intent }, onLeftOpen)),
    sign: (claims, parts) => settle(sign(claims, parts)),
    parts: (claims, after) =>
      settle(claims.method === "single" ? lookUpSingle(claims, after) : listParts(claims, after)),
    async complete(claims, receipts) {
      const { key, size, etag, location } = await completeVerified(claims, receipts);
      return { key, size, etag, location };
    },
    completeVerified,
    completeListed: (claims, sent) => settle(completeListed(claims, sent)),
    isStored: (claims) => settle(find(claims).then(({ state }) => state === "ours")),
    abort: async (claims) => (claims.method === "single" ? undefined : settle(abortMultipart(claims))),
  };
}

// Amazon's S3 needs one look (https://aws.amazon.com/s3/consistency/).
const LOOKS_AT_LIST = 3;
const LOOK_AGAIN_MS = 500;

function notAsSent(detail: string): StorageFault {
  return new StorageFault("permanent", "VERIFICATION_FAILED", { detail });
}

/** @throws {StorageFault} permanent, `REQUEST_INVALID` */
function checkToSign(kind: ChecksumKind, { partNumber, checksum }: PartToSign): void {
  const isRight = isSigned(kind) ? checksum !== null && isChecksumOf(kind, checksum) : checksum === null;
  if (isRight) return;
  throw invalidRequest(
    `part ${partNumber} needs ${isSigned(kind) ? `its ${kind}` : "no checksum"} to be signed`,
  );
}

function invalidRequest(detail: string): StorageFault {
  return new StorageFault("permanent", "REQUEST_INVALID", { detail });
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
  const { checksum: kind } = claims;
  const malformed = ordered.find(
    ({ checksum }) => checksum !== null && kind !== "none" && !isChecksumOf(kind, checksum),
  );
  if (malformed !== undefined)
    throw invalidRequest(`the checksum of part ${malformed.partNumber} is no ${kind}`);
  return ordered;
}

function mismatch(detail: string, cause?: unknown): StorageFault {
  const known = cause === undefined ? {} : { cause: toStorageFault(cause).cause };
  return new StorageFault("partsMismatch", "PARTS_MISMATCH", { detail, ...known });
}

async function settle<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw toStorageFault(error);
  }
}
