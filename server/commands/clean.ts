import { type CleanUpSummary, type CleanUpUpload, cleanUp } from "../clean-up.ts";
import { parseTimeSpan, type TimeSpan } from "../time-span.ts";
import { clientFor, parseOptions, TARGET_OPTIONS, type Target, targetOf } from "./target.ts";
import { messageOf, printable, UsageError } from "./terminal.ts";

const LOOKED_AT_STEP = 1_000;

interface CleanCommand {
  readonly target: Target;
  readonly olderThan: TimeSpan;
  readonly prefix: string;
  readonly dryRun: boolean;
}

/** `backhaul clean` */
export function runClean(args: readonly string[]): Promise<0 | 1> {
  return clean(parse(args));
}

function parse(args: readonly string[]): CleanCommand {
  const values = parseOptions(args, {
    ...TARGET_OPTIONS,
    "older-than": { type: "string" },
    prefix: { type: "string" },
    "dry-run": { type: "boolean" },
  });
  const { "older-than": olderThan, prefix = "", "dry-run": dryRun = false } = values;
  const target = targetOf(values);
  if (olderThan === undefined) throw new UsageError("--older-than is missing");
  if (!isTimeSpan(olderThan))
    throw new UsageError(`--older-than is "${olderThan}": expected a duration such as 24h`);
  return { target, olderThan, prefix, dryRun };
}

function isTimeSpan(text: string): text is TimeSpan {
  return parseTimeSpan(text) !== null;
}

async function clean({ target, ...options }: CleanCommand): Promise<0 | 1> {
  const { bucket } = target;
  const client = clientFor(target);
  let lookedAt = 0;
  try {
    const summary = await cleanUp({
      ...options,
      bucket,
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
