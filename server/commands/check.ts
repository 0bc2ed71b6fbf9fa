import { createS3Uploads } from "../../s3/s3-uploads.ts";
import { createSigner } from "../../s3/signer.ts";
import { CHECKSUM_KINDS, type ChecksumKind } from "../../src/core/checksum.ts";
import { boundedClient } from "../bounded-client.ts";
import { checkBucket, type Finding } from "../check/index.ts";
import { parseTimeSpan } from "../time-span.ts";
import { BUCKET_OPTIONS, originsOf, uploadsLastOf } from "./bucket-options.ts";
import { clientFor, parseOptions, requireUrl, TARGET_OPTIONS, targetOf } from "./target.ts";
import { printable, UsageError } from "./terminal.ts";

const CALL_SECONDS = 20;
const SIGNED_SECONDS = 300;
const MARKS = { ok: "ok     ", warning: "warning", failure: "FAILURE" } as const;

/** `backhaul check` */
export async function runCheck(args: readonly string[]): Promise<0 | 1> {
  const text = { type: "string" } as const;
  const values = parseOptions(args, {
    ...TARGET_OPTIONS,
    ...BUCKET_OPTIONS,
    checksum: text,
    "public-endpoint": text,
    relay: text,
    header: { type: "string", multiple: true },
    timeout: text,
  });
  const target = targetOf(values);
  const { prefix = "", relay, "public-endpoint": publicEndpoint, timeout = "3m" } = values;
  const { checksum = "md5" } = values;
  if (!isKind(checksum))
    throw new UsageError(`--checksum is "${checksum}": expected ${CHECKSUM_KINDS.join(", ")}`);
  if (relay !== undefined) requireUrl("relay", relay);
  if (publicEndpoint !== undefined) requireUrl("public-endpoint", publicEndpoint);
  const timeoutMs = parseTimeSpan(timeout);
  if (timeoutMs === null || timeoutMs < 1_000 || timeoutMs > 3_600_000)
    throw new UsageError(`--timeout is "${timeout}": expected a duration from 1s to 1h`);
  const origins = originsOf(values.origin);
  const headers = Object.fromEntries((values.header ?? []).map(fieldOf));
  const uploadsLastMs = uploadsLastOf(values["uploads-last"]);

  const appsClient = clientFor(target);
  const signingClient = signingClientFor(target);
  const { bucket } = target;
  const signal = AbortSignal.timeout(timeoutMs);
  const client = boundedClient(appsClient, { timeoutSeconds: CALL_SECONDS, signal });
  const signer = createSigner({
    ...{ client: appsClient, signingClient, bucket, publicEndpoint },
    signedUrlSeconds: SIGNED_SECONDS,
  });
  const findings = checkBucket({
    ...{ client, bucket, origins, prefix, checksum, uploadsLastMs, headers, signal },
    uploads: createS3Uploads({ client, bucket }, signer),
    relay: relay ?? null,
    locate: signer.locate,
  });
  const counts = { ok: 0, warning: 0, failure: 0 };
  try {
    for await (const finding of findings) {
      counts[finding.level]++;
      console.log(linesOf(finding));
    }
  } finally {
    appsClient.destroy();
    signingClient?.destroy();
  }
  console.log(`${counts.ok} ok, ${counts.warning} warnings, ${counts.failure} failures`);
  return counts.failure === 0 ? 0 : 1;
}

function linesOf({ level, about, text, remedy }: Finding): string {
  const found = [about, text]
    .filter((part) => part !== "")
    .map(printable)
    .join(": ");
  return [`${MARKS[level]}  ${found}`, ...(remedy === "" ? [] : [`         → ${printable(remedy)}`])].join(
    "\n",
  );
}

function signingClientFor(target: Parameters<typeof clientFor>[0]) {
  const { BACKHAUL_SIGNING_ACCESS_KEY_ID: accessKeyId, BACKHAUL_SIGNING_SECRET_ACCESS_KEY: secretAccessKey } =
    process.env;
  if (!accessKeyId || !secretAccessKey) return undefined;
  return clientFor(target, { accessKeyId, secretAccessKey });
}

/** @throws {UsageError} */
function fieldOf(field: string): readonly [name: string, value: string] {
  const at = field.indexOf(":");
  const [name, value] = [field.slice(0, at).trim(), field.slice(at + 1).trim()];
  try {
    if (at < 1) throw new TypeError("it has no colon");
    new Headers({ [name]: value });
  } catch {
    // The value may be a session's, and is not for the terminal.
    throw new UsageError('--header is invalid: expected a name and a value, such as "cookie: session=1"');
  }
  return [name, value];
}

function isKind(text: string): text is ChecksumKind {
  return CHECKSUM_KINDS.some((kind) => kind === text);
}
