import { createHash, randomBytes, randomUUID } from "node:crypto";
import { crc32, crc64 } from "hash-wasm";
import { checksumOf as base64Of, bytesOfHex } from "../../s3/checksums.ts";
import type { UploadClaims } from "../../s3/claims.ts";
import { CHECKSUM_KINDS, type Checksum, type ChecksumKind, isSigned } from "../../src/core/checksum.ts";
import type { PartReceipt, UploadMethod } from "../../src/core/storage.ts";
import { browserFetch, failureOfResponse } from "./browser-fetch.ts";
import { type CheckContext, type Finding, failure, ok, warning } from "./finding.ts";
import { failureOf, remedyOf } from "./remedies.ts";

const PART_BYTES = 5 * 1024 * 1024;
const SMALL_BYTES = 1_000;
const METHODS = ["single", "multipart"] as const;

/** A call that failed, and the permission that it needs. */
class StepFailed extends Error {
  constructor(
    readonly step: string,
    readonly permission: string,
    override readonly cause: unknown,
  ) {
    super(step);
  }
}

/** Uploads an object by each method and with each checksum, as server and browser do. */
export async function* checkUploads(context: CheckContext): AsyncGenerator<Finding> {
  for (const method of METHODS) {
    const own = await tryUpload(context, method, context.checksum);
    yield own;
    // The others would fail for the same reason.
    if (own.level === "failure") continue;
    for (const kind of CHECKSUM_KINDS)
      if (kind !== context.checksum) yield await tryUpload(context, method, kind);
  }
  yield await checkAbort(context);
}

async function tryUpload(context: CheckContext, method: UploadMethod, kind: ChecksumKind): Promise<Finding> {
  const about = `${method === "single" ? "one PUT" : "multipart"}, checksum ${kind}`;
  const isOwn = kind === context.checksum;
  try {
    await upload(context, method, kind);
  } catch (error) {
    const { step, permission, cause } = stepOf(error);
    const because = failureOf(cause);
    const status = because.status === null ? "" : ` (HTTP ${because.status})`;
    const text = `${step} failed: ${because.message}${status}`;
    return isOwn
      ? failure(about, text, remedyForKind(kind, remedyOf(because, permission)))
      : warning(about, text, "do not set this kind as the worker's `checksum`");
  }
  if (kind === "none" || (await refusesWrongBytes(context, kind)))
    return ok(about, "stored, and as it was sent");
  const text = "stored, but the engine does not compare it: damaged bytes are accepted";
  const remedy = "choose another `checksum` in the worker, such as md5";
  return isOwn ? failure(about, text, remedy) : warning(about, text, "do not rely on this kind");
}

function remedyForKind(kind: ChecksumKind, remedy: string): string {
  return isSigned(kind) && !remedy.startsWith("allow")
    ? `choose another \`checksum\` in the worker, such as md5; or ${remedy}`
    : remedy;
}

async function upload(context: CheckContext, method: UploadMethod, kind: ChecksumKind): Promise<void> {
  const { uploads, checksum } = context;
  // Two parts, of which one has S3's least size, once; the others have one part, of which S3 requires no size.
  const isLong = method === "multipart" && kind === checksum;
  const bytes = randomBytes(isLong ? PART_BYTES + SMALL_BYTES : SMALL_BYTES);
  const claims = await open(context, method, kind, bytes.length);
  const cut = isLong ? [bytes.subarray(0, PART_BYTES), bytes.subarray(PART_BYTES)] : [bytes];
  const receipts: PartReceipt[] = [];
  for (const [index, body] of cut.entries()) receipts.push(await put(context, claims, index + 1, body, body));
  if (method === "multipart") {
    const { parts } = await step("ListParts", "s3:ListMultipartUploadParts", () => uploads.parts(claims, 0));
    if (parts.length !== cut.length)
      throw new StepFailed("ListParts", "", new Error(`it lists ${parts.length} of ${cut.length} parts`));
  }
  const completing = method === "single" ? "HeadObject" : "CompleteMultipartUpload";
  await step(completing, "s3:GetObject and s3:PutObject", () => uploads.complete(claims, receipts));
}

async function open(
  { uploads, probes, bucket }: CheckContext,
  method: UploadMethod,
  checksum: ChecksumKind,
  size: number,
): Promise<UploadClaims> {
  const key = probes.newKey();
  const common = {
    ...{ bucket, key, size, checksum },
    uploadId: randomUUID(),
    type: "text/plain",
    owner: null,
    expiresAt: Date.now() + 600_000,
  };
  if (method === "single") return { ...common, method };
  const { uploadId, type } = common;
  const s3UploadId = await step("CreateMultipartUpload", "s3:PutObject", () =>
    uploads.open({ key, uploadId, type, checksum, triedForMs: null }, () => {}),
  );
  probes.addUpload(key, s3UploadId);
  return { ...common, method, partSize: PART_BYTES, s3UploadId };
}

/** @param hashed the bytes that the checksum is of */
async function put(
  context: CheckContext,
  claims: UploadClaims,
  partNumber: number,
  body: Uint8Array,
  hashed: Uint8Array,
): Promise<PartReceipt> {
  const { checksum: kind, method } = claims;
  const checksum = await digestOf(kind, hashed);
  const name = method === "single" ? "PutObject" : "UploadPart";
  const permission = "s3:PutObject (on the objects, to the credentials that sign)";
  return step(name, permission, async () => {
    const [signed] = await context.uploads.sign(claims, [
      { partNumber, checksum: isSigned(kind) ? checksum : null },
    ]);
    if (signed === undefined) throw new Error("nothing was signed");
    const response = await browserFetch(context, signed.url, {
      method: "PUT",
      headers: { ...signed.headers, ...(kind === "md5" && checksum !== null && { "content-md5": checksum }) },
      body: new Blob([Buffer.from(body)]),
    });
    if (!response.ok) throw await failureOfResponse(response);
    await response.arrayBuffer();
    const etag = response.headers.get("etag")?.replaceAll('"', "");
    if (etag === undefined) throw new Error("the answer has no ETag: see what is in between");
    return { partNumber, etag, checksum };
  });
}

async function refusesWrongBytes(context: CheckContext, kind: ChecksumKind): Promise<boolean> {
  const bytes = randomBytes(SMALL_BYTES);
  const claims = await open(context, "single", kind, bytes.length);
  try {
    await put(context, claims, 1, bytes, randomBytes(SMALL_BYTES));
    return false;
  } catch (error) {
    return failureOf(stepOf(error).cause).status === 400;
  }
}

async function checkAbort(context: CheckContext): Promise<Finding> {
  const about = "abort";
  try {
    const claims = await open(context, "multipart", context.checksum, SMALL_BYTES);
    await step("AbortMultipartUpload", "s3:AbortMultipartUpload", () => context.uploads.abort(claims));
    return ok(about, "drops an upload");
  } catch (error) {
    const { step: name, permission, cause } = stepOf(error);
    const because = failureOf(cause);
    return failure(about, `${name} failed: ${because.message}`, remedyOf(because, permission));
  }
}

async function step<T>(name: string, permission: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new StepFailed(name, permission, error);
  }
}

function stepOf(error: unknown): StepFailed {
  return error instanceof StepFailed ? error : new StepFailed("the upload", "", error);
}

async function digestOf(kind: ChecksumKind, bytes: Uint8Array): Promise<Checksum | null> {
  switch (kind) {
    case "md5":
    case "sha256":
      return createHash(kind).update(bytes).digest("base64");
    case "crc32c":
      return base64Of(bytesOfHex(await crc32(bytes, 0x82f63b78)));
    case "crc64nvme":
      return base64Of(bytesOfHex(await crc64(bytes, "9a6c9329ac4bc9b5")));
    case "none":
      return null;
    default:
      return kind satisfies never;
  }
}
