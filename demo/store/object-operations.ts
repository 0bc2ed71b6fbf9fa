import type { IncomingHttpHeaders } from "node:http";
import type { StoredObject } from "./bucket.ts";
import { parseRange } from "./byte-range.ts";
import { checksumHeaders, type ObjectChecksum } from "./checksums.ts";
import { checkWrite, isNotModified } from "./conditions.ts";
import { encryptionHeaders, etagOf } from "./encryption.ts";
import { S3Error } from "./errors.ts";
import type { Answer, Exchange, Operation } from "./exchange.ts";
import { MAX_PUT_BYTES } from "./limits.ts";
import { storedHeaders } from "./stored-headers.ts";

export const putObject: Operation = async (exchange) => {
  const { target, headers, body, payload, now, sse } = exchange;
  const bucket = exchange.buckets.get(target.bucket);
  const kept = storedHeaders(exchange);
  checkWrite(headers, bucket.object(target.key));
  const received = await bucket.blobs.receive(body.verified(payload, MAX_PUT_BYTES));
  const { md5, size } = received;
  const etag = etagOf(md5, sse);
  const checksum: ObjectChecksum | undefined = received.checksum && {
    ...received.checksum,
    type: "FULL_OBJECT",
  };
  try {
    checkWrite(headers, bucket.object(target.key));
  } catch (error) {
    await bucket.blobs.drop(received);
    throw error;
  }
  const object = { key: target.key, size, etag, modifiedAt: now(), headers: kept };
  await bucket.putObject({ ...object, ...(checksum && { checksum }) }, received);
  return {
    headers: { etag: `"${etag}"`, ...checksumHeaders(checksum), ...encryptionHeaders(sse) },
    stored: true,
  };
};

export const getObject: Operation = (exchange) => readObject(exchange, true);

export const headObject: Operation = (exchange) => readObject(exchange, false);

export const deleteObject: Operation = async ({ buckets, target }) => {
  await buckets.get(target.bucket).deleteObject(target.key);
  return { status: 204 };
};

function readObject({ buckets, target, headers }: Exchange, withBytes: boolean): Answer {
  if (target.query.has("partNumber"))
    throw new S3Error("NotImplemented", undefined, { Parameter: "partNumber" });
  const bucket = buckets.get(target.bucket);
  const object = bucket.object(target.key);
  if (object === undefined) throw new S3Error("NoSuchKey", undefined, { Key: target.key });
  const described = describe(object);
  if (isNotModified(headers, object)) return { status: 304, headers: described };
  const range = parseRange(headers.range, object.size);
  const { start, end } = range ?? { start: 0, end: object.size - 1 };
  return {
    status: range === undefined ? 200 : 206,
    headers: {
      ...described,
      "content-length": end - start + 1,
      ...(range === undefined
        ? checksumsFor(headers, object)
        : { "content-range": `bytes ${start}-${end}/${object.size}` }),
    },
    ...(withBytes ? { body: bucket.blobs.read(object.blobs, start, end) } : {}),
  };
}

/** Only for those who ask for them, and of the whole object only. */
function checksumsFor(headers: IncomingHttpHeaders, { checksum }: StoredObject): Record<string, string> {
  return headers["x-amz-checksum-mode"] === "ENABLED" ? checksumHeaders(checksum) : {};
}

function describe(object: StoredObject): Record<string, string> {
  return {
    ...object.headers,
    etag: `"${object.etag}"`,
    "last-modified": new Date(object.modifiedAt).toUTCString(),
    "accept-ranges": "bytes",
  };
}
