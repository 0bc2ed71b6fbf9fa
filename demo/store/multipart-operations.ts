import { createHash, randomBytes } from "node:crypto";
import type { Bucket, Part, StoredObject, Upload } from "./bucket.ts";
import { checkWrite } from "./conditions.ts";
import { S3Error } from "./errors.ts";
import { type Answer, type Exchange, type Operation, xmlAnswer } from "./exchange.ts";
import { MAX_PART_BYTES, MAX_PART_NUMBER } from "./limits.ts";
import { uriEncode } from "./request-target.ts";
import { storedHeaders } from "./stored-headers.ts";
import { parseXml, xmlDocument } from "./xml.ts";

export const createMultipartUpload: Operation = (exchange) => {
  const { target, now } = exchange;
  const bucket = exchange.buckets.get(target.bucket);
  const uploadId = newUploadId(now());
  bucket.createUpload({ uploadId, key: target.key, initiatedAt: now(), headers: storedHeaders(exchange) });
  return xmlAnswer(
    xmlDocument([
      "InitiateMultipartUploadResult",
      [
        ["Bucket", bucket.name],
        ["Key", target.key],
        ["UploadId", uploadId],
      ],
    ]),
  );
};

export const uploadPart: Operation = async (exchange) => {
  const { target, body, payload, now } = exchange;
  const bucket = exchange.buckets.get(target.bucket);
  const partNumber = parsePartNumber(target.query.get("partNumber") ?? "");
  const { uploadId } = requireUpload(bucket, exchange);
  const received = await bucket.blobs.receive(body.verified(payload, MAX_PART_BYTES));
  const { md5: etag, size } = received;
  if (bucket.upload(uploadId) === undefined) {
    await bucket.blobs.drop(received);
    throw noSuchUpload(uploadId);
  }
  await bucket.putPart(uploadId, { partNumber, size, etag, modifiedAt: now() }, received);
  return { headers: { etag: `"${etag}"` }, stored: true };
};

export const completeMultipartUpload: Operation = async (exchange) => {
  const { target, headers, body, payload, now, minPartBytes } = exchange;
  const bucket = exchange.buckets.get(target.bucket);
  const listed = parseParts(await body.text(payload));
  const uploadId = target.query.get("uploadId") ?? "";
  const current = bucket.object(target.key);
  if (current?.uploadId === uploadId) return completed(exchange, current);
  const upload = requireUpload(bucket, exchange);
  const parts = pickParts(upload, listed);
  checkSizes(parts, minPartBytes);
  checkWrite(headers, current);
  const object: StoredObject = {
    key: target.key,
    uploadId,
    size: parts.reduce((sum, { size }) => sum + size, 0),
    etag: multipartETag(parts),
    modifiedAt: now(),
    headers: upload.headers,
    blobs: parts.map(({ blob }) => blob),
  };
  await bucket.completeUpload(uploadId, object);
  return completed(exchange, object);
};

export const abortMultipartUpload: Operation = async (exchange) => {
  const bucket = exchange.buckets.get(exchange.target.bucket);
  const { uploadId } = requireUpload(bucket, exchange);
  await bucket.abortUpload(uploadId);
  return { status: 204 };
};

/** Time first, so that upload ids sort by age, as ListMultipartUploads wants them. */
function newUploadId(nowMs: number): string {
  return `${nowMs.toString(36).padStart(9, "0")}${nextSequence().toString(36).padStart(6, "0")}${randomBytes(12).toString("hex")}`;
}

let sequence = 0;

function nextSequence(): number {
  sequence += 1;
  return sequence;
}

function requireUpload(bucket: Bucket, { target }: Exchange): Upload {
  const uploadId = target.query.get("uploadId") ?? "";
  const upload = bucket.upload(uploadId);
  if (upload === undefined || upload.key !== target.key) throw noSuchUpload(uploadId);
  return upload;
}

function noSuchUpload(uploadId: string): S3Error {
  return new S3Error("NoSuchUpload", undefined, { UploadId: uploadId });
}

function parsePartNumber(text: string): number {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (number < 1 || number > MAX_PART_NUMBER) {
    throw new S3Error(
      "InvalidArgument",
      `Part number must be an integer between 1 and ${MAX_PART_NUMBER}, inclusive`,
      {
        ArgumentName: "partNumber",
        ArgumentValue: text,
      },
    );
  }
  return number;
}

interface ListedPart {
  readonly partNumber: number;
  readonly etag: string;
}

function parseParts(text: string): ListedPart[] {
  const parts = parseXml(text, "CompleteMultipartUpload")
    .children("Part")
    .map((part) => {
      const number = part.child("PartNumber")?.text() ?? "";
      const etag = part.child("ETag")?.text();
      if (!/^\d{1,10}$/.test(number) || etag === undefined) throw new S3Error("MalformedXML");
      return { partNumber: Number(number), etag: etag.replace(/^"(.*)"$/, "$1") };
    });
  if (parts.length === 0) throw new S3Error("MalformedXML");
  return parts;
}

function pickParts(upload: Upload, listed: readonly ListedPart[]): Part[] {
  let previous = 0;
  return listed.map(({ partNumber, etag }) => {
    if (partNumber <= previous)
      throw new S3Error("InvalidPartOrder", undefined, { UploadId: upload.uploadId });
    previous = partNumber;
    const part = upload.parts.get(partNumber);
    if (part?.etag !== etag) {
      throw new S3Error("InvalidPart", undefined, {
        UploadId: upload.uploadId,
        PartNumber: partNumber,
        ETag: etag,
      });
    }
    return part;
  });
}

function checkSizes(parts: readonly Part[], minPartBytes: number): void {
  const small = parts.slice(0, -1).find(({ size }) => size < minPartBytes);
  if (small === undefined) return;
  throw new S3Error("EntityTooSmall", undefined, {
    ProposedSize: small.size,
    MinSizeAllowed: minPartBytes,
    PartNumber: small.partNumber,
    ETag: small.etag,
  });
}

/** MD5 of the parts' MD5s, and their number. */
function multipartETag(parts: readonly Part[]): string {
  const hash = createHash("md5");
  for (const { etag } of parts) hash.update(etag, "hex");
  return `${hash.digest("hex")}-${parts.length}`;
}

function completed({ target, url }: Exchange, object: StoredObject): Answer {
  return xmlAnswer(
    xmlDocument([
      "CompleteMultipartUploadResult",
      [
        ["Location", `${url}/${target.bucket}/${object.key.split("/").map(uriEncode).join("/")}`],
        ["Bucket", target.bucket],
        ["Key", object.key],
        ["ETag", `"${object.etag}"`],
      ],
    ]),
  );
}
