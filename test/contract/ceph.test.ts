import { describe, it } from "vitest";
import { isCephInstalled, startCeph } from "../engines/ceph.ts";
import { describeS3Contract } from "./contract.ts";
import type { KnownDifferences } from "./subject.ts";

const ORIGIN = "https://app.example.com";

/** Ceph RGW 16.2.15, without STS. */
const CEPH_DIFFERENCES: KnownDifferences = {
  "key of 1,025 bytes": "400 InvalidObjectName",
  "last zero bytes": "206 bytes 0-9/10 0123456789",
  "range that is none": "200 bytes 0-9/10 0123456789",
  "presigned URL without its signature": "403 AccessDenied",
  "presigned for more than a week": "403 AccessDenied",
  "message of an expired URL": "",
  "x-amz-* header that was not signed": "200",
  "wrong x-amz-checksum-sha256": "200",
  "wrong x-amz-checksum-crc32": "200",
  "wrong x-amz-checksum-crc32c": "200",
  "wrong x-amz-checksum-crc64nvme": "200",
  "wrong x-amz-checksum-crc32, presigned": "200",
  "wrong x-amz-checksum-crc32 of a part, presigned": "200",
  "wrong x-amz-checksum-crc32c, presigned": "200",
  "wrong x-amz-checksum-crc32c of a part, presigned": "200",
  "wrong x-amz-checksum-crc64nvme, presigned": "200",
  "wrong x-amz-checksum-crc64nvme of a part, presigned": "200",
  "wrong x-amz-checksum-sha256, presigned": "200",
  "wrong x-amz-checksum-sha256 of a part, presigned": "200",
  "aws-chunked body with a trailer": "411 MissingContentLength",
  "Transfer-Encoding: chunked": "411 MissingContentLength",
  "part number 0": "200",
  "part number 10,001": "200",
  "part number -1": "200",
  "ETag in the answer to Complete": "wrong: ",
  "ETag in the answer to a second Complete": "unquoted",
  "ListParts after Complete": "404 NoSuchKey",
  "completed with some of the parts": "400 InvalidPart",
  "parts in descending order": "200",
  "Complete of an unknown upload": "500 InternalError",
  "ListParts after Abort": "404 NoSuchKey",
  "Complete after Abort": "500 InternalError",
  "key marker without an upload id marker": ["pending/b", "pending/b", "pending/b", "pending/c d"],
  "preflight without a configuration": "403 AccessDenied",
  "preflight for the wrong origin": "403 AccessDenied",
  "preflight for the wrong origin of another port": "403 AccessDenied",
  "preflight for the wrong method": "403 AccessDenied",
  "preflight for the wrong header": "403 AccessDenied",
  "origin with two wildcards": "400 MalformedXML",
  "unknown method": "400 MalformedXML",
  "headers of a preflight": {
    "access-control-allow-origin": ORIGIN,
    "access-control-allow-methods": "PUT",
    "access-control-allow-headers": "Content-Type,x-amz-meta-a",
    "access-control-expose-headers": "ETag",
    "access-control-max-age": "600",
  },
  "headers of an answer": {
    "access-control-allow-origin": ORIGIN,
    "access-control-allow-methods": "PUT",
    "access-control-expose-headers": "ETag",
    "access-control-max-age": "600",
  },
  "CORS on a 403": ["403 SignatureDoesNotMatch", undefined],
  "origin * in answers": [
    [ORIGIN, undefined],
    ["*", undefined],
  ],
};

if (isCephInstalled() || process.env.CI !== undefined) {
  describeS3Contract("Ceph RGW 16.2", () => startCeph({ sts: false }), CEPH_DIFFERENCES);
} else {
  const reason = "Ceph is not installed: the S3 contract is not tried on it (see test/engines/ceph/start.sh)";
  console.warn(`SKIPPED: ${reason}.`);
  describe.skip(reason, () => it("S3 contract: Ceph RGW"));
}
