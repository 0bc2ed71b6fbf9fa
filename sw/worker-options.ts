import * as v from "valibot";
import { check } from "../src/core/check.ts";
import { CHECKSUM_KINDS } from "../src/core/checksum.ts";
import {
  ENGINE_DEFAULTS,
  type EngineOptions,
  KEEP_ENDED,
  type KeepEnded,
  RETRY_POLICY,
  type RetryPolicy,
} from "../src/core/options.ts";
import type { Trace } from "../src/core/trace.ts";
import { type ChecksumAlgorithm, md5 } from "./parts/index.ts";

/** The worker's options with their defaults. */
export interface WorkerOptions extends EngineOptions {
  /**
   * How parts are protected on their way and the object is verified at the end: `md5`, which every S3 engine knows, `crc32c`,
   * `crc64nvme`, `sha256` or `noChecksum`, all exported beside `serveUploads`.
   * @default md5
   */
  readonly checksum: ChecksumAlgorithm;
  /** Called for each step of the worker, for logs and debug pages. @default none */
  readonly trace: Trace;
}

/** The worker's options as an app gives them, in part. */
export interface GivenOptions extends Partial<Omit<WorkerOptions, "retry" | "keepEnded">> {
  /** When to retry after faults that may pass. @default { baseMs: 1000, maxMs: 1800000 } */
  readonly retry?: Partial<RetryPolicy>;
  /** How long uploads that are done or canceled stay on the list. @default { days: 30, count: 1000 } */
  readonly keepEnded?: Partial<KeepEnded>;
}

const whole = (min: number, max = Number.MAX_SAFE_INTEGER) =>
  v.pipe(v.number(), v.safeInteger(), v.minValue(min), v.maxValue(max));
const LONGEST_WAIT_MS = 24 * 3_600_000;
const wait = whole(1, LONGEST_WAIT_MS);

const schema = v.object({
  // An app that bundles two versions of this library may pass the algorithm of the other one.
  checksum: v.object({
    kind: v.picklist(CHECKSUM_KINDS, "expected md5, crc32c, crc64nvme, sha256 or noChecksum"),
    digest: v.nullable(v.function()),
  }),
  trace: v.function(),
  parallelParts: whole(1, 64),
  parallelPartsPerUpload: whole(1, 64),
  multipartThresholdBytes: whole(0),
  partSize: v.variant("strategy", [
    v.object({ strategy: v.literal("fixed"), bytes: whole(1) }),
    v.object({ strategy: v.literal("bySize") }),
    v.object({ strategy: v.literal("adaptive"), seconds: v.optional(whole(1, 3_600)) }),
  ]),
  retry: v.object({ baseMs: wait, maxMs: wait }),
  stallTimeoutMs: wait,
  keepEnded: v.object({
    days: v.pipe(v.number(), v.minValue(0), v.maxValue(3_650)),
    count: whole(0, 100_000),
  }),
});

/** @throws {UploadError} `OPTION_INVALID` */
export function checkOptions({ checksum = md5, trace = () => {}, ...given }: GivenOptions): WorkerOptions {
  const retry = { ...RETRY_POLICY, ...given.retry };
  const keepEnded = { ...KEEP_ENDED, ...given.keepEnded };
  const options = { ...ENGINE_DEFAULTS, ...given, retry, keepEnded, checksum, trace };
  check(schema, options);
  return options;
}
