#!/usr/bin/env node
/** `npx backhaul`: what an operator does to a bucket from the command line. */
import { parseArgs } from "node:util";
import { S3Client } from "@aws-sdk/client-s3";
import { type CleanUpSummary, type CleanUpUpload, cleanUp } from "./clean-up.ts";
import { parseTimeSpan, type TimeSpan } from "./time-span.ts";

const USAGE = `Usage: backhaul clean --bucket <name> --older-than <age> [options]

Aborts multipart uploads that were begun long ago and never ended, of whatever program.

  --bucket <name>      the bucket
  --older-than <age>   such as 90m, 24h or 7d; no less than an upload may take
  --prefix <text>      only keys that begin with this
  --endpoint <url>     an S3 engine other than Amazon's
  --region <name>      by default the environment's
  --dry-run            only says what would be aborted
  --help               this text

Credentials come from where the AWS SDK looks for them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, the
machine's role. They need s3:ListBucketMultipartUploads and s3:AbortMultipartUpload.

Exit code: 0 if all went well, 1 if something failed, 2 if the command or its options are invalid.
`;

const LOOKED_AT_STEP = 1_000;

class UsageError extends Error {}

interface CleanCommand {
  readonly bucket: string;
  readonly olderThan: TimeSpan;
  readonly prefix: string;
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
  readonly dryRun: boolean;
}

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<0 | 1 | 2> {
  try {
    const command = parse(args);
    if (command !== null) return await clean(command);
    process.stdout.write(USAGE);
    return 0;
  } catch (error) {
    console.error(`backhaul: ${printable(messageOf(error))}`);
    if (!(error instanceof UsageError)) return 1;
    console.error("See: backhaul --help");
    return 2;
  }
}

/** The command that the arguments give; null if help was asked for. */
function parse(args: readonly string[]): CleanCommand | null {
  const { values, positionals } = parseOptions(args);
  if (values.help) return null;
  const [name, ...others] = positionals;
  if (name === undefined) throw new UsageError("no command was given: expected clean");
  if (name !== "clean" || others.length > 0)
    throw new UsageError(`unknown command ${[name, ...others].join(" ")}: expected clean`);
  const { bucket, "older-than": olderThan, prefix = "", endpoint, "dry-run": dryRun = false } = values;
  if (!bucket) throw new UsageError("--bucket is missing");
  if (olderThan === undefined) throw new UsageError("--older-than is missing");
  if (!isTimeSpan(olderThan))
    throw new UsageError(`--older-than is "${olderThan}": expected a duration such as 24h`);
  if (endpoint !== undefined && !(URL.canParse(endpoint) && /^https?:/i.test(endpoint)))
    throw new UsageError(`--endpoint is "${endpoint}": expected a URL`);
  const region = values.region ?? (endpoint && regionOfEnvironment());
  return { bucket, olderThan, prefix, endpoint, region, dryRun };
}

function parseOptions(args: readonly string[]) {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        bucket: text,
        "older-than": text,
        prefix: text,
        endpoint: text,
        region: text,
        "dry-run": flag,
        help: { ...flag, short: "h" },
      },
    });
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}

/**
 * The environment's region, or one that most engines other than Amazon's accept, so that none need be given.
 */
function regionOfEnvironment(): string {
  return process.env.AWS_REGION || process.env.AWS_DEFAULT_REGION || "us-east-1";
}

function isTimeSpan(text: string): text is TimeSpan {
  return parseTimeSpan(text) !== null;
}

async function clean({ endpoint, region, ...options }: CleanCommand): Promise<0 | 1> {
  const client = new S3Client({
    // Engines other than Amazon's seldom have a host name for each bucket.
    ...(endpoint !== undefined && { endpoint, forcePathStyle: true }),
    ...(region !== undefined && { region }),
  });
  let lookedAt = 0;
  try {
    const summary = await cleanUp({
      ...options,
      client,
      onUpload(upload) {
        if (upload.outcome !== "young") console.log(lineOf(upload));
        if (++lookedAt % LOOKED_AT_STEP === 0)
          console.error(`${lookedAt.toLocaleString("en")} uploads checked …`);
      },
    });
    console.log(summaryOf(summary, options));
    return summary.failed === 0 ? 0 : 1;
  } finally {
    client.destroy();
  }
}

/** One line of output, such as `aborted  2026-01-31 09:30 UTC  photos/cat.jpg  2~Wx…`. */
function lineOf({ outcome, initiated, key, uploadId, error }: CleanUpUpload): string {
  const begun = `${initiated.toISOString().slice(0, 16).replace("T", " ")} UTC`;
  const reason = error === undefined ? [] : [messageOf(error)];
  return [outcome.padEnd(7), begun, key, uploadId, ...reason].map(printable).join("  ");
}

function summaryOf(
  summary: CleanUpSummary,
  { olderThan, dryRun }: Pick<CleanCommand, "olderThan" | "dryRun">,
): string {
  const { young, stale, aborted, ended, failed } = summary;
  const count = (number: number) => number.toLocaleString("en");
  const old = stale + aborted + ended + failed;
  const found = `${count(old + young)} open uploads, ${count(old)} of them older than ${olderThan}`;
  if (dryRun) return `${found}: nothing was aborted (dry run)`;
  const others = [ended > 0 && `${count(ended)} had ended`, failed > 0 && `${count(failed)} failed`];
  return [`${found}: ${count(aborted)} aborted`, ...others.filter(Boolean)].join(", ");
}

/** S3's own message if the error has one, else the error's. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}

/** Clients choose the keys, and a terminal obeys some of what they may hold. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return `\\u{${code.toString(16)}}`;
  });
}
