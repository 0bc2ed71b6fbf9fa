import { checksumElements } from "./checksums.ts";
import { S3Error } from "./errors.ts";
import { type Operation, xmlAnswer } from "./exchange.ts";
import { isKeyAfter, pageLimit, pageOf, sortByKey, wholeNumber } from "./paging.ts";
import { uriEncode } from "./request-target.ts";
import { type Element, xmlDocument } from "./xml.ts";

const OWNER: readonly Element[] = [
  ["ID", "backhaul"],
  ["DisplayName", "backhaul"],
];

export const listObjectsV2: Operation = ({ buckets, target: { bucket, query } }) => {
  refuseDelimiter(query);
  const prefix = query.get("prefix") ?? "";
  const limit = pageLimit(query, "max-keys");
  const token = query.get("continuation-token");
  const startAfter = query.get("start-after");
  const after = token === undefined ? startAfter : decodeToken(token);
  const show = keyWriter(query);
  const matching = [...buckets.get(bucket).objects()].filter(
    ({ key }) => key.startsWith(prefix) && (after === undefined || isKeyAfter(key, after)),
  );
  const page = pageOf(sortByKey(matching), limit);
  return xmlAnswer(
    xmlDocument([
      "ListBucketResult",
      [
        ["Name", bucket],
        ["Prefix", show(prefix)],
        ...optional("StartAfter", startAfter),
        ...optional("ContinuationToken", token),
        ...optional(
          "NextContinuationToken",
          page.isTruncated && page.last ? encodeToken(page.last.key) : undefined,
        ),
        ...optional("EncodingType", query.get("encoding-type")),
        ["KeyCount", page.entries.length],
        ["MaxKeys", limit],
        ["IsTruncated", page.isTruncated],
        ...page.entries.map(
          ({ key, modifiedAt, etag, size }): Element => [
            "Contents",
            [
              ["Key", show(key)],
              ["LastModified", new Date(modifiedAt).toISOString()],
              ["ETag", `"${etag}"`],
              ["Size", size],
              ["StorageClass", "STANDARD"],
            ],
          ],
        ),
      ],
    ]),
  );
};

export const listMultipartUploads: Operation = ({ buckets, target: { bucket, query } }) => {
  refuseDelimiter(query);
  const prefix = query.get("prefix") ?? "";
  const limit = pageLimit(query, "max-uploads");
  const keyMarker = query.get("key-marker") ?? "";
  // Without a key marker it means nothing to S3.
  const idMarker = keyMarker === "" ? "" : (query.get("upload-id-marker") ?? "");
  const show = keyWriter(query);
  const matching = [...buckets.get(bucket).uploads()]
    .filter(({ key }) => key.startsWith(prefix))
    .filter(
      ({ key, uploadId }) =>
        isKeyAfter(key, keyMarker) || (key === keyMarker && idMarker !== "" && uploadId > idMarker),
    )
    // Upload ids begin with the time, so this is also S3's order by initiation.
    .sort((left, right) => (left.uploadId < right.uploadId ? -1 : 1));
  const page = pageOf(sortByKey(matching), limit);
  return xmlAnswer(
    xmlDocument([
      "ListMultipartUploadsResult",
      [
        ["Bucket", bucket],
        ["KeyMarker", show(keyMarker)],
        ["UploadIdMarker", idMarker],
        ...optional("NextKeyMarker", page.isTruncated && page.last ? show(page.last.key) : undefined),
        ...optional("NextUploadIdMarker", page.isTruncated ? page.last?.uploadId : undefined),
        ["Prefix", show(prefix)],
        ...optional("EncodingType", query.get("encoding-type")),
        ["MaxUploads", limit],
        ["IsTruncated", page.isTruncated],
        ...page.entries.map(
          ({ key, uploadId, initiatedAt }): Element => [
            "Upload",
            [
              ["Key", show(key)],
              ["UploadId", uploadId],
              ["Initiator", OWNER],
              ["Owner", OWNER],
              ["StorageClass", "STANDARD"],
              ["Initiated", new Date(initiatedAt).toISOString()],
            ],
          ],
        ),
      ],
    ]),
  );
};

export const listParts: Operation = ({ buckets, target: { bucket, key, query } }) => {
  const uploadId = query.get("uploadId") ?? "";
  const upload = buckets.get(bucket).upload(uploadId);
  if (upload === undefined || upload.key !== key)
    throw new S3Error("NoSuchUpload", undefined, { UploadId: uploadId });
  const marker = wholeNumber(query, "part-number-marker") ?? 0;
  const limit = pageLimit(query, "max-parts");
  const following = [...upload.parts.values()]
    .filter(({ partNumber }) => partNumber > marker)
    .sort((left, right) => left.partNumber - right.partNumber);
  const page = pageOf(following, limit);
  return xmlAnswer(
    xmlDocument([
      "ListPartsResult",
      [
        ["Bucket", bucket],
        ["Key", keyWriter(query)(key)],
        ["UploadId", uploadId],
        ["Initiator", OWNER],
        ["Owner", OWNER],
        ["StorageClass", "STANDARD"],
        ...optional("ChecksumAlgorithm", upload.checksum?.algorithm),
        ...optional("ChecksumType", upload.checksum?.type),
        ["PartNumberMarker", marker],
        ["NextPartNumberMarker", page.last?.partNumber ?? 0],
        ["MaxParts", limit],
        ["IsTruncated", page.isTruncated],
        ...page.entries.map(
          ({ partNumber, modifiedAt, etag, size, checksum }): Element => [
            "Part",
            [
              ["PartNumber", partNumber],
              ["LastModified", new Date(modifiedAt).toISOString()],
              ["ETag", `"${etag}"`],
              ["Size", size],
              ...checksumElements(checksum),
            ],
          ],
        ),
      ],
    ]),
  );
};

function refuseDelimiter(query: ReadonlyMap<string, string>): void {
  if (query.get("delimiter")) throw new S3Error("NotImplemented", undefined, { Parameter: "delimiter" });
}

function keyWriter(query: ReadonlyMap<string, string>): (key: string) => string {
  return query.get("encoding-type") === "url" ? uriEncode : (key) => key;
}

function optional(name: string, value: string | undefined): Element[] {
  return value === undefined ? [] : [[name, value]];
}

function encodeToken(key: string): string {
  return Buffer.from(key).toString("base64url");
}

function decodeToken(token: string): string {
  return Buffer.from(token, "base64url").toString();
}
