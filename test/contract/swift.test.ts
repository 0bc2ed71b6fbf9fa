import { describe, it } from "vitest";
import { canRunSwift, startSwift } from "../engines/swift.ts";
import { describeS3Contract } from "./contract.ts";
import type { KnownDifferences } from "./subject.ts";

/** OpenStack Swift 2.35. */
const SWIFT_DIFFERENCES: KnownDifferences = {
  "metadata moved into the presigned query": {},
  "If-None-Match: * where nothing is": "501 NotImplemented",
  "If-None-Match: * where something is": "501 NotImplemented",
  "signed for another method": "501 NotImplemented",
  "presigned URL without its signature": "403 AccessDenied",
  "unknown access key": "403 SignatureDoesNotMatch",
  "anonymous PUT": "400",
  "anonymous GET": "400",
  "Transfer-Encoding: chunked": "200",
  "ListParts after Complete": "200",
  "UploadPart after Complete": "200",
  "uploads, 1 to a page": { pages: 6, found: 6, missing: 4 },
  PutBucketCors: "501 NotImplemented",
};

if (canRunSwift() || process.env.CI !== undefined) {
  describeS3Contract("OpenStack Swift 2.35", startSwift, SWIFT_DIFFERENCES);
} else {
  const reason = "Swift can't run here: the S3 contract is not tried on it (see test/engines/swift.ts)";
  console.warn(`SKIPPED: ${reason}.`);
  describe.skip(reason, () => it("S3 contract: OpenStack Swift"));
}
