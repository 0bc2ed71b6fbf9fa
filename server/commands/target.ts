import { parseArgs } from "node:util";
import { S3Client } from "@aws-sdk/client-s3";
import { messageOf, UsageError } from "./terminal.ts";

/** The bucket that a command is about. */
export interface Target {
  readonly bucket: string;
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
}

const text = { type: "string" } as const;

export const TARGET_OPTIONS = { bucket: text, endpoint: text, region: text } as const;

interface Option {
  readonly type: "string" | "boolean";
  readonly multiple?: boolean;
}

/** The options' values, by the types that they were declared with. */
type Values<O> = {
  readonly [K in keyof O]?: O[K] extends { readonly multiple: true }
    ? readonly string[]
    : O[K] extends { readonly type: "boolean" }
      ? boolean
      : string;
};

/** @throws {UsageError} */
export function parseOptions<const O extends Readonly<Record<string, Option>>>(
  args: readonly string[],
  options: O,
) {
  try {
    return parseArgs({ args: [...args], options }).values as Values<O>;
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}

/** @throws {UsageError} */
export function targetOf(values: {
  readonly bucket?: string | undefined;
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
}): Target {
  const { bucket, endpoint } = values;
  if (!bucket) throw new UsageError("--bucket is missing");
  if (endpoint !== undefined) requireUrl("endpoint", endpoint);
  return { bucket, endpoint, region: values.region ?? (endpoint && regionOfEnvironment()) };
}

/** @throws {UsageError} */
export function requireUrl(name: string, url: string): void {
  if (!(URL.canParse(url) && /^https?:/i.test(url)))
    throw new UsageError(`--${name} is "${url}": expected a URL`);
}

/** Credentials come from where the SDK looks for them, unless they are given. */
export function clientFor(
  { endpoint, region }: Target,
  credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string },
): S3Client {
  return new S3Client({
    // Engines other than Amazon's seldom have a host name for each bucket.
    ...(endpoint !== undefined && { endpoint, forcePathStyle: true }),
    ...(region !== undefined && { region }),
    ...(credentials !== undefined && { credentials }),
  });
}

/**
 * The environment's region, or one that most engines other than Amazon's accept, so that none need be given.
 */
function regionOfEnvironment(): string {
  return process.env.AWS_REGION || process.env.AWS_DEFAULT_REGION || "us-east-1";
}
