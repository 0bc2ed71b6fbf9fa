import { GetBucketLifecycleConfigurationCommand, type LifecycleRule } from "@aws-sdk/client-s3";
import { type CheckContext, type Finding, failure, ok, refused, warning } from "./finding.ts";
import { failureOf } from "./remedies.ts";

const DAY_MS = 86_400_000;
const ABOUT = "lifecycle rule";

/** Whether what never ended is dropped, and not before it may end. */
export async function checkLifecycle(context: CheckContext): Promise<Finding> {
  const { client, bucket, prefix, uploadsLastMs } = context;
  let rules: readonly LifecycleRule[];
  try {
    const answer = await client.send(new GetBucketLifecycleConfigurationCommand({ Bucket: bucket }));
    rules = answer.Rules ?? [];
  } catch (error) {
    const { code, status, message } = failureOf(error);
    if (code === "NoSuchLifecycleConfiguration") rules = [];
    else if (status === 501 || code === "NotImplemented" || code === "MethodNotAllowed")
      return warning(ABOUT, "the engine has none", "run `npx backhaul clean` once a day");
    else if (status === 403)
      return warning(ABOUT, message, "to have it checked, allow s3:GetLifecycleConfiguration");
    else return refused(ABOUT, error, "s3:GetLifecycleConfiguration");
  }
  const days = rules.filter((rule) => appliesTo(rule, prefix)).map(daysOf);
  const least = Math.min(...days.filter((each) => each !== undefined));
  if (least === Number.POSITIVE_INFINITY)
    return failure(
      ABOUT,
      "none aborts uploads that never ended: their parts stay, and are paid for",
      "run `npx backhaul setup`, or add AbortIncompleteMultipartUpload",
    );
  if (least * DAY_MS < uploadsLastMs)
    return failure(
      ABOUT,
      `aborts uploads after ${least} days, while they may take ${uploadsLastMs / DAY_MS}`,
      "raise DaysAfterInitiation, or lower tokenSeconds and --uploads-last",
    );
  return ok(ABOUT, `aborts uploads that never ended after ${least} days`);
}

/** After how many days the rule aborts uploads; undefined if it does not. */
export function daysOf({ AbortIncompleteMultipartUpload }: LifecycleRule): number | undefined {
  return AbortIncompleteMultipartUpload?.DaysAfterInitiation;
}

/** Whether the rule is in force for all keys that begin with the prefix. */
export function appliesTo({ Status, Filter, Prefix }: LifecycleRule, prefix: string): boolean {
  const isForAll = Filter?.Tag === undefined && Filter?.And === undefined;
  return Status === "Enabled" && isForAll && prefix.startsWith(Filter?.Prefix ?? Prefix ?? "");
}
