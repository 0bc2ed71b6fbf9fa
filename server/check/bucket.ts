import {
  HeadBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
} from "@aws-sdk/client-s3";
import { browserFetch } from "./browser-fetch.ts";
import { type CheckContext, type Finding, failure, ok, refused, warning } from "./finding.ts";
import { failureOf } from "./remedies.ts";

// The SDK signs by S3's clock from here on; credentials of other kinds, and tokens, do not.
const MAX_SKEW_MS = 300_000;
const NOTABLE_SKEW_MS = 30_000;

/** Whether the bucket can be reached with these credentials. A last finding that is a failure ends the check. */
export async function* checkAccess(context: CheckContext): AsyncGenerator<Finding, boolean> {
  const { client, bucket, prefix, probes } = context;
  let isReached = true;
  try {
    await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, MaxKeys: 1 }));
    yield ok("credentials", "valid for this bucket");
  } catch (error) {
    const { status, code } = failureOf(error);
    isReached = status === 403 && code === "AccessDenied";
    yield refused("credentials", error, "s3:ListBucket");
  }
  if (!isReached) return false;
  yield await checkClock(context);
  yield await checkRegion(context);
  try {
    await client.send(new HeadObjectCommand({ Bucket: bucket, Key: probes.newKey() }));
    yield failure(
      "missing objects",
      "S3 says that an object is there which is not",
      "see what is in between",
    );
  } catch (error) {
    yield failureOf(error).status === 404
      ? ok("missing objects", "are answered with 404")
      : refused("missing objects", error, "s3:GetObject and s3:ListBucket");
  }
  try {
    await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, MaxUploads: 1 }));
    yield ok("open uploads", "can be listed");
  } catch (error) {
    yield refused("open uploads", error, "s3:ListBucketMultipartUploads");
  }
  return true;
}

async function checkRegion({ client, bucket }: CheckContext): Promise<Finding> {
  const region = await client.config.region();
  try {
    const { BucketRegion } = await client.send(new HeadBucketCommand({ Bucket: bucket }));
    if (BucketRegion === undefined || BucketRegion === region) return ok("region", region);
    return failure(
      "region",
      `the bucket is in ${BucketRegion}, and requests are signed for ${region}`,
      `set --region (and the server's) to ${BucketRegion}`,
    );
  } catch (error) {
    return refused("region", error, "s3:ListBucket");
  }
}

async function checkClock(context: CheckContext): Promise<Finding> {
  let date: string | null;
  let sentAt: number;
  try {
    const url = await context.locate("backhaul-check");
    sentAt = Date.now();
    const response = await browserFetch(context, url, { method: "HEAD" });
    date = response.headers.get("date");
  } catch (error) {
    return refused("clock", error, "s3:GetObject");
  }
  const at = Date.parse(date ?? "");
  if (Number.isNaN(at)) return warning("clock", "S3's answers have no date", "see what is in between");
  // The header has whole seconds, and was made at some time between request and answer.
  const offMs = at > Date.now() ? at - Date.now() : Math.max(0, sentAt - at - 1_000);
  const off = offMs < 120_000 ? `${Math.round(offMs / 1_000)} s` : `${Math.round(offMs / 60_000)} min`;
  const text = `differs from S3's by ${off}`;
  const remedy = "set this machine's clock by NTP";
  if (offMs > MAX_SKEW_MS) return failure("clock", text, remedy);
  return offMs > NOTABLE_SKEW_MS ? warning("clock", text, remedy) : ok("clock", text);
}
