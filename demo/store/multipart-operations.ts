import { randomBytes } from "node:crypto";
import type { Bucket, Part, StoredObject, Upload } from "./bucket.ts";
import {
  announcedChecksum,
  CHECKSUM_ALGORITHMS,
  type Checksum,
  type ChecksumAlgorithm,
  type ChecksumPlan,
  checksumElements,
  checksumHasher,
  checksumHeaders,
  checksumPlan,
  type ObjectChecksum,
} from "./checksums.ts";
import { checkWrite } from "./conditions.ts";
import { encryptionHeaders, etagOf, multipartETag } from "./encryption.ts";
import { S3Error } from "./errors.ts";
import { type Answer, type Exchange, type Operation, xmlAnswer } from "./exchange.ts";
import { MAX_PART_BYTES, MAX_PART_NUMBER } from "./limits.ts";
import { uriEncode } from "./request-target.ts";
import { storedHeaders } from "./stored-headers.ts";
import { parseXml, xmlDocument } from "./xml.ts";

export const createMultipartUpload: Operation = (exchange) => {
  const { target, now, sse } = exchange;
  const bucket = exchange.buckets.get(target.bucket);
  const checksum = checksumPlan(exchange.headers);
  const uploadId = newUploadId(now());
  bucket.createUpload({
    uploadId,
    key: target.key,
    initiatedAt: now(),
    headers: storedHeaders(exchange),
    ...(checksum && { checksum }),
  });
  return xmlAnswer(
    xmlDocument([
      "InitiateMultipartUploadResult",
      [
        ["Bucket", bucket.name],
        ["Key", target.key],
        ["UploadId", uploadId],
      ],
    ]),
    {
      ...encryptionHeaders(sse),
      ...(checksum && {
        "x-amz-checksum-algorithm": checksum.algorithm,
        "x-amz-checksum-type": checksum.type,
      }),
    },
  );
};

export const uploadPart: Operation = async (exchange) => {
  const { target, headers, body, payload, now, sse } = exchange;
  const bucket = exchange.buckets.get(target.bucket);
  const partNumber = parsePartNumber(target.query.get("partNumber") ?? "");
  const { uploadId, checksum: plan } = requireUpload(bucket, exchange);
  checkAlgorithm(plan, headers);
  const received = await bucket.blobs.receive(body.verified(payload, MAX_PART_BYTES, plan?.algorithm));
  const { md5, checksum, size } = received;
  const etag = etagOf(md5, sse);
  if (bucket.upload(uploadId) === undefined) {
    await bucket.blobs.drop(received);
    throw noSuchUpload(uploadId);
  }
  // S3 checks the checksum of an upload that has no algorithm as well, but forgets it.
  const kept = plan && checksum && { checksum };
  await bucket.putPart(uploadId, { partNumber, size, etag, ...kept, modifiedAt: now() }, received);
  return {
    headers: { etag: `"${etag}"`, ...checksumHeaders(checksum), ...encryptionHeaders(sse) },
    stored: true,
  };
};

export const completeMultipartUpload: Operation = async (exchange) => {
  const { target, headers, body, payload, now, minPartBytes, sse } = exchange;
  const bucket = exchange.buckets.get(target.bucket);
  const listed = parseParts(await body.text(payload));
  const uploadId = target.query.get("uploadId") ?? "";
  const finished = () => {
    const current = bucket.object(target.key);
    return current?.uploadId === uploadId ? completed(exchange, current) : undefined;
  };
  const before = finished();
  if (before !== undefined) return before;
  const upload = requireUpload(bucket, exchange);
  const hashed = pickParts(upload, listed);
  checkSizes(hashed, minPartBytes);
  const checksum = await objectChecksum(bucket, upload, hashed);

  // Hashing has taken its time. What follows is one step.
  const meanwhile = finished();
  if (meanwhile !== undefined) return meanwhile;
  const parts = pickParts(requireUpload(bucket, exchange), listed);
  checkWrite(headers, bucket.object(target.key));
  const object: StoredObject = {
    key: target.key,
    uploadId,
    size: parts.reduce((sum, { size }) => sum + size, 0),
    etag: multipartETag(
      parts.map(({ etag }) => etag),
      sse,
    ),
    modifiedAt: now(),
    headers: upload.headers,
    ...(checksum && { checksum }),
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
  readonly checksums: readonly Checksum[];
}

function parseParts(text: string): ListedPart[] {
  const parts = parseXml(text, "CompleteMultipartUpload")
    .children("Part")
    .map((part) => {
      const number = part.child("PartNumber")?.text() ?? "";
      const etag = part.child("ETag")?.text();
      if (!/^\d{1,10}$/.test(number) || etag === undefined) throw new S3Error("MalformedXML");
      return {
        partNumber: Number(number),
        etag: etag.replace(/^"(.*)"$/, "$1"),
        checksums: CHECKSUM_ALGORITHMS.flatMap((algorithm) => {
          const value = part.child(`Checksum${algorithm}`)?.text();
          return value === undefined ? [] : [{ algorithm, value }];
        }),
      };
    });
  if (parts.length === 0) throw new S3Error("MalformedXML");
  return parts;
}

function pickParts(upload: Upload, listed: readonly ListedPart[]): Part[] {
  let previous = 0;
  return listed.map(({ partNumber, etag, checksums }) => {
    if (partNumber <= previous)
      throw new S3Error("InvalidPartOrder", undefined, { UploadId: upload.uploadId });
    previous = partNumber;
    if (upload.checksum?.type === "COMPOSITE" && checksums.length === 0) {
      throw new S3Error(
        "InvalidRequest",
        `The upload was created using a ${upload.checksum.algorithm.toLowerCase()} checksum. The complete request must include the checksum for each part. It was missing for part ${partNumber} in the request.`,
      );
    }
    const part = upload.parts.get(partNumber);
    if (part?.etag !== etag || !checksums.every((each) => isSame(each, part.checksum))) {
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

function isSame({ algorithm, value }: Checksum, other: Checksum | undefined): boolean {
  return other?.algorithm === algorithm && other.value === value;
}

/** An upload's parts have the checksum that it was created with. That of a FULL_OBJECT one, S3 calculates by itself. */
function checkAlgorithm(plan: ChecksumPlan | undefined, headers: Exchange["headers"]): void {
  const actual = announcedChecksum(headers)?.algorithm;
  if (plan === undefined || actual === plan.algorithm) return;
  if (plan.type === "FULL_OBJECT" && actual === undefined) return;
  const name = (algorithm: ChecksumAlgorithm | undefined) => algorithm?.toLowerCase() ?? "null";
  throw new S3Error(
    "InvalidRequest",
    `Checksum Type mismatch occurred, expected checksum Type: ${name(plan.algorithm)}, actual checksum Type: ${name(actual)}`,
  );
}

/** Of a FULL_OBJECT it is taken from the bytes as they lie on the disk. */
async function objectChecksum(
  { blobs }: Bucket,
  { checksum: plan }: Upload,
  parts: readonly Part[],
): Promise<ObjectChecksum | undefined> {
  if (plan === undefined) return undefined;
  const { algorithm, type } = plan;
  const hasher = await checksumHasher(algorithm);
  if (type === "COMPOSITE") {
    for (const { checksum } of parts) hasher.update(Buffer.from(checksum?.value ?? "", "base64"));
    return { algorithm, type, value: `${hasher.finish().value}-${parts.length}` };
  }
  const size = parts.reduce((sum, part) => sum + part.size, 0);
  const bytes = blobs.read(
    parts.map(({ blob }) => blob),
    0,
    size - 1,
  );
  for await (const chunk of bytes) hasher.update(chunk);
  return { ...hasher.finish(), type };
}

function completed({ target, url, sse }: Exchange, object: StoredObject): Answer {
  return xmlAnswer(
    xmlDocument([
      "CompleteMultipartUploadResult",
      [
        ["Location", `${url}/${target.bucket}/${object.key.split("/").map(uriEncode).join("/")}`],
        ["Bucket", target.bucket],
        ["Key", object.key],
        ["ETag", `"${object.etag}"`],
        ...checksumElements(object.checksum),
      ],
    ]),
    encryptionHeaders(sse),
  );
}
