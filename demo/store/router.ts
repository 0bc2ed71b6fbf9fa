import * as bucketOperations from "./bucket-operations.ts";
import { S3Error } from "./errors.ts";
import type { Operation } from "./exchange.ts";
import * as listOperations from "./list-operations.ts";
import * as multipartOperations from "./multipart-operations.ts";
import * as objectOperations from "./object-operations.ts";
import type { RequestTarget } from "./request-target.ts";

interface Route {
  /** S3's name of the operation. */
  readonly name: string;
  readonly method: string;
  readonly on: "bucket" | "object";
  /** The query parameter that tells it from the others. */
  readonly by?: string;
  readonly run: Operation;
}

/** The first that fits is taken, so those with a parameter come first. */
const ROUTES: readonly Route[] = [
  { name: "GetBucketCors", method: "GET", on: "bucket", by: "cors", run: bucketOperations.getBucketCors },
  { name: "PutBucketCors", method: "PUT", on: "bucket", by: "cors", run: bucketOperations.putBucketCors },
  {
    name: "DeleteBucketCors",
    method: "DELETE",
    on: "bucket",
    by: "cors",
    run: bucketOperations.deleteBucketCors,
  },
  {
    name: "ListMultipartUploads",
    method: "GET",
    on: "bucket",
    by: "uploads",
    run: listOperations.listMultipartUploads,
  },
  { name: "ListObjectsV2", method: "GET", on: "bucket", by: "list-type", run: listOperations.listObjectsV2 },
  { name: "CreateBucket", method: "PUT", on: "bucket", run: bucketOperations.createBucket },
  { name: "HeadBucket", method: "HEAD", on: "bucket", run: bucketOperations.headBucket },
  {
    name: "CreateMultipartUpload",
    method: "POST",
    on: "object",
    by: "uploads",
    run: multipartOperations.createMultipartUpload,
  },
  { name: "UploadPart", method: "PUT", on: "object", by: "uploadId", run: multipartOperations.uploadPart },
  { name: "UploadPart", method: "PUT", on: "object", by: "partNumber", run: multipartOperations.uploadPart },
  { name: "ListParts", method: "GET", on: "object", by: "uploadId", run: listOperations.listParts },
  {
    name: "CompleteMultipartUpload",
    method: "POST",
    on: "object",
    by: "uploadId",
    run: multipartOperations.completeMultipartUpload,
  },
  {
    name: "AbortMultipartUpload",
    method: "DELETE",
    on: "object",
    by: "uploadId",
    run: multipartOperations.abortMultipartUpload,
  },
  { name: "PutObject", method: "PUT", on: "object", run: objectOperations.putObject },
  { name: "GetObject", method: "GET", on: "object", run: objectOperations.getObject },
  { name: "HeadObject", method: "HEAD", on: "object", run: objectOperations.headObject },
  { name: "DeleteObject", method: "DELETE", on: "object", run: objectOperations.deleteObject },
];

/**
 * Subresources of S3 that this store lacks. Without the list, `PUT /bucket/key?acl` would overwrite the
 * object.
 */
const ELSEWHERE = new Set(
  "accelerate acl analytics attributes delete encryption intelligent-tiering inventory legal-hold lifecycle location logging metrics notification object-lock ownershipControls policy policyStatus publicAccessBlock renameObject replication requestPayment restore retention select session tagging torrent versionId versioning versions website".split(
    " ",
  ),
);

export function route(
  method: string,
  target: RequestTarget,
  headers: { readonly [name: string]: unknown },
): Route {
  const parameter = [...target.query.keys()].find((name) => ELSEWHERE.has(name));
  if (parameter !== undefined) throw new S3Error("NotImplemented", undefined, { Parameter: parameter });
  if (headers["x-amz-copy-source"] !== undefined) {
    throw new S3Error("NotImplemented", undefined, { Header: "x-amz-copy-source" });
  }
  if (target.bucket === "") throw new S3Error(method === "GET" ? "NotImplemented" : "MethodNotAllowed");
  const on = target.key === "" ? "bucket" : "object";
  const found = ROUTES.find(
    (each) =>
      each.method === method && each.on === on && (each.by === undefined || target.query.has(each.by)),
  );
  if (found !== undefined) return found;
  const known = on === "bucket" && (method === "GET" || method === "DELETE");
  throw new S3Error(known ? "NotImplemented" : "MethodNotAllowed", undefined, {
    Method: method,
    ResourceType: on.toUpperCase(),
  });
}
