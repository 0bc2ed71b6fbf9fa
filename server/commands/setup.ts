import { createHash } from "node:crypto";
import { createInterface } from "node:readline/promises";
import {
  type CORSRule,
  GetBucketCorsCommand,
  GetBucketLifecycleConfigurationCommand,
  type LifecycleRule,
  PutBucketCorsCommand,
  PutBucketLifecycleConfigurationCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import { boundedClient } from "../bounded-client.ts";
import { appliesTo, daysOf } from "../check/lifecycle.ts";
import { failureOf, remedyOf } from "../check/remedies.ts";
import { BUCKET_OPTIONS, originsOf, uploadsLastOf } from "./bucket-options.ts";
import { clientFor, parseOptions, TARGET_OPTIONS, targetOf } from "./target.ts";
import { printable, UsageError } from "./terminal.ts";

const RULE_ID = "backhaul";
const DAY_MS = 86_400_000;
// Browsers remember a preflight for no longer than this, or than 24 h.
const MAX_AGE_SECONDS = 7_200;

/** What is to be written: the bucket's rules as they will be, or null if they need no change. */
interface Change {
  readonly about: string;
  readonly rules: readonly object[] | null;
  readonly write: () => Promise<unknown>;
}

/** `backhaul setup` */
export async function runSetup(args: readonly string[]): Promise<0 | 1> {
  const values = parseOptions(args, { ...TARGET_OPTIONS, ...BUCKET_OPTIONS, yes: { type: "boolean" } });
  const target = targetOf(values);
  const origins = originsOf(values.origin);
  const uploadsLastMs = uploadsLastOf(values["uploads-last"]);
  const { prefix = "", yes = false } = values;
  if (!yes && !process.stdin.isTTY) throw new UsageError("there is no terminal to ask at: give --yes");
  const appsClient = clientFor(target);
  const client = boundedClient(withContentMd5(appsClient));
  try {
    const bucket = target.bucket;
    const planned = [
      await plan(() => corsChange(client, bucket, origins)),
      await plan(() => lifecycleChange(client, bucket, prefix, uploadsLastMs)),
    ];
    const changes = planned.filter((change) => change !== null);
    for (const { about, rules } of changes)
      console.log(
        rules === null ? `${about}: nothing to change` : `${about}:\n${JSON.stringify(rules, null, 2)}`,
      );
    const wanted = changes.filter(({ rules }) => rules !== null);
    if (wanted.length > 0 && !yes && !(await isAgreed())) {
      console.log("nothing was written");
      return 1;
    }
    let isWritten = planned.length === changes.length;
    for (const { about, write } of wanted) isWritten = (await attempt(about, write)) && isWritten;
    return isWritten ? 0 : 1;
  } finally {
    appsClient.destroy();
  }
}

/** Rules that can't be read must not be overwritten. */
async function plan(find: () => Promise<Change | null>): Promise<Change | null> {
  try {
    return await find();
  } catch (error) {
    complain("the rules could not be read", error, "s3:GetBucketCORS and s3:GetLifecycleConfiguration");
    return null;
  }
}

async function attempt(about: string, write: () => Promise<unknown>): Promise<boolean> {
  try {
    await write();
    console.log(`${about}: written`);
    return true;
  } catch (error) {
    complain(`${about} could not be written`, error, "s3:PutBucketCORS and s3:PutLifecycleConfiguration");
    return false;
  }
}

function complain(what: string, error: unknown, permission: string): void {
  const failure = failureOf(error);
  const isUnknown = failure.status === 501 || failure.code === "NotImplemented";
  const remedy = isUnknown
    ? "the engine has no such rules: set CORS in its own configuration, and run `npx backhaul clean` once a day"
    : remedyOf(failure, permission);
  console.error(printable(`${what}: ${failure.message}`));
  console.error(`  → ${remedy}`);
}

async function isAgreed(): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return /^y(es)?$/i.test((await terminal.question("Write this? [y/N] ")).trim());
  } finally {
    terminal.close();
  }
}

async function corsChange(client: S3Client, Bucket: string, origins: readonly string[]): Promise<Change> {
  const found = await orNone("NoSuchCORSConfiguration", () =>
    client.send(new GetBucketCorsCommand({ Bucket })),
  );
  const before: readonly CORSRule[] = found?.CORSRules ?? [];
  const ours: CORSRule = {
    ID: RULE_ID,
    AllowedOrigins: [...origins],
    AllowedMethods: ["PUT"],
    AllowedHeaders: ["*"],
    // Without it a page can't read what S3 says it has stored.
    ExposeHeaders: ["ETag"],
    MaxAgeSeconds: MAX_AGE_SECONDS,
  };
  const CORSRules = [...before.filter(({ ID }) => ID !== RULE_ID), ours];
  return {
    about: "CORS rules",
    rules: before.some((rule) => isSameRule(rule, ours)) ? null : CORSRules,
    write: () => client.send(new PutBucketCorsCommand({ Bucket, CORSConfiguration: { CORSRules } })),
  };
}

function isSameRule(a: CORSRule, b: CORSRule): boolean {
  const text = (rule: CORSRule) =>
    JSON.stringify([rule.AllowedOrigins, rule.AllowedMethods, rule.AllowedHeaders, rule.ExposeHeaders]);
  return text(a) === text(b) && a.MaxAgeSeconds === b.MaxAgeSeconds;
}

async function lifecycleChange(
  client: S3Client,
  Bucket: string,
  prefix: string,
  uploadsLastMs: number,
): Promise<Change> {
  const found = await orNone("NoSuchLifecycleConfiguration", () =>
    client.send(new GetBucketLifecycleConfigurationCommand({ Bucket })),
  );
  const before: readonly LifecycleRule[] = found?.Rules ?? [];
  // A day more, since an engine may count from midnight.
  const days = Math.ceil(uploadsLastMs / DAY_MS) + 1;
  const ours: LifecycleRule = {
    ID: RULE_ID,
    Status: "Enabled",
    Filter: { Prefix: prefix },
    AbortIncompleteMultipartUpload: { DaysAfterInitiation: days },
  };
  const isSet = before.some((rule) => appliesTo(rule, prefix) && daysOf(rule) === days);
  const Rules = [...before.filter(({ ID }) => ID !== RULE_ID), ours];
  return {
    about: "lifecycle rules",
    rules: isSet ? null : Rules,
    write: () =>
      client.send(new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration: { Rules } })),
  };
}

async function orNone<T>(code: string, read: () => Promise<T>): Promise<T | null> {
  try {
    return await read();
  } catch (error) {
    if (failureOf(error).code === code) return null;
    throw error;
  }
}

/** Many engines want the MD5 of rules, as Amazon's did for long, where the SDK sends another checksum. */
function withContentMd5(client: S3Client): S3Client {
  client.middlewareStack.add(
    (next) => (args) => {
      const { headers, body } = args.request as { headers: Record<string, string>; body?: unknown };
      if (typeof body === "string") headers["content-md5"] = createHash("md5").update(body).digest("base64");
      return next(args);
    },
    { step: "build", name: "backhaulContentMd5" },
  );
  return client;
}
