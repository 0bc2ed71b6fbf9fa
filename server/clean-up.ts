import {
  AbortMultipartUploadCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  type S3Client,
} from "@aws-sdk/client-s3";
import { invalidAnswer } from "../s3/s3-answer.ts";
import { isNoSuchUpload, toStorageFault } from "../s3/s3-faults.ts";
import { boundedClient } from "./bounded-client.ts";
import { parseTimeSpan, type TimeSpan } from "./time-span.ts";

export interface CleanUpOptions {
  /** Needs `s3:ListBucketMultipartUploads` on the bucket and `s3:AbortMultipartUpload` on the objects. */
  readonly client: S3Client;
  readonly bucket: string;
  /**
   * Uploads begun at least this long ago are aborted: "24h". One that is still going on, or paused, starts
   * again from its first byte, so give no less than an upload may take (`tokenSeconds`: 7 days by default).
   */
  readonly olderThan: TimeSpan;
  /** Only uploads whose key begins with this are looked at. @default "" */
  readonly prefix?: string;
  /** Whether uploads are only reported, and none is aborted. @default false */
  readonly dryRun?: boolean;
  /** Called for every open upload, as soon as its outcome is known. */
  readonly onUpload?: (upload: CleanUpUpload) => void;
}

export interface CleanUpUpload {
  readonly key: string;
  /** S3's id of it. */
  readonly uploadId: string;
  /** When it was begun, by S3's clock. */
  readonly initiated: Date;
  /**
   * - `young`: left alone
   * - `stale`: would have been aborted, but for `dryRun`
   * - `aborted`
   * - `ended`: completed or aborted by someone else meanwhile
   * - `failed`: it is still open
   */
  readonly outcome: "young" | "stale" | "aborted" | "ended" | "failed";
  /** Why it failed, with S3's answer as `cause`. */
  readonly error?: Error;
}

/** How many uploads had which outcome. */
export type CleanUpSummary = Readonly<Record<CleanUpUpload["outcome"], number>>;

// Eight aborts at once are quick, and no burden to an engine that takes seconds for each.
const ABORTS_AT_ONCE = 8;

/**
 * Aborts multipart uploads that were begun long ago and never ended, whose parts are stored and paid for
 * unseen. For buckets without a lifecycle rule, and for engines that know none. Run it as often as you like,
 * on as many machines.
 *
 * **It aborts those of other programs too**: S3 does not list what an upload was begun with, so Backhaul's
 * own can't be told from others. Where other programs upload to the same bucket, give a `prefix`.
 *
 * An upload that can't be aborted is counted and passed over.
 *
 * @throws {TypeError} if an option makes no sense
 * @throws if the uploads can't be listed, with S3's answer as `cause`; what was aborted until then stays so
 */
export async function cleanUp(options: CleanUpOptions): Promise<CleanUpSummary> {
  const { bucket, olderThan, prefix = "", dryRun = false, onUpload } = options;
  if (bucket === "") throw new TypeError("bucket is empty");
  const ageMs = parseTimeSpan(olderThan);
  if (ageMs === null)
    throw new TypeError(`olderThan is ${JSON.stringify(olderThan)}: expected a duration such as "24h"`);
  const client = boundedClient(options.client);
  // This machine's clock will do: S3 refuses requests of a clock that is 15 minutes off.
  const deadline = Date.now() - ageMs;
  const counts: Record<CleanUpUpload["outcome"], number> = {
    young: 0,
    stale: 0,
    aborted: 0,
    ended: 0,
    failed: 0,
  };
  const seen = new Set<string>();

  // Swift's pages lose a second upload of the same key, which shows once the first has gone. Nothing is tried
  // twice, and what is begun from now on is young: so there is an end.
  let before: number;
  do {
    before = counts.aborted;
    for await (const page of listOpen(client, bucket, prefix)) {
      const unseen = page.filter(({ uploadId }) => !seen.has(uploadId));
      for (const { uploadId } of unseen) seen.add(uploadId);
      await forEach(unseen, ABORTS_AT_ONCE, async (upload) => {
        const result = await settle(upload);
        counts[result.outcome]++;
        onUpload?.(result);
      });
    }
  } while (counts.aborted > before);
  return counts;

  async function settle(upload: OpenUpload): Promise<CleanUpUpload> {
    if (upload.initiated.getTime() > deadline) return { ...upload, outcome: "young" };
    if (dryRun) return { ...upload, outcome: "stale" };
    const { key, uploadId } = upload;
    try {
      await client.send(new AbortMultipartUploadCommand({ Bucket: bucket, Key: key, UploadId: uploadId }));
      return { ...upload, outcome: "aborted" };
    } catch (error) {
      if (isNoSuchUpload(error)) return { ...upload, outcome: "ended" };
      return { ...upload, outcome: "failed", error: toStorageFault(error) };
    }
  }
}

type OpenUpload = Pick<CleanUpUpload, "key" | "uploadId" | "initiated">;

/** Page by page, at most 1,000 each. */
async function* listOpen(
  client: S3Client,
  bucket: string,
  prefix: string,
): AsyncGenerator<readonly OpenUpload[]> {
  const markers = new Set<string>();
  let marker: { KeyMarker?: string; UploadIdMarker?: string } = {};
  for (;;) {
    const page: ListMultipartUploadsCommandOutput = await client
      .send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix, ...marker }))
      .catch((error) => {
        throw toStorageFault(error);
      });
    yield (page.Uploads ?? []).flatMap(({ Key, UploadId, Initiated }) =>
      Key && UploadId && Initiated ? [{ key: Key, uploadId: UploadId, initiated: Initiated }] : [],
    );
    if (!page.IsTruncated) return;
    const { NextKeyMarker, NextUploadIdMarker } = page;
    marker = {
      ...(NextKeyMarker && { KeyMarker: NextKeyMarker }),
      ...(NextUploadIdMarker && { UploadIdMarker: NextUploadIdMarker }),
    };
    const mark = JSON.stringify(marker);
    // An engine that leads in circles would be asked for ever.
    if (!NextKeyMarker || markers.has(mark)) throw invalidAnswer("its list of uploads does not go on");
    markers.add(mark);
  }
}

async function forEach<T>(items: readonly T[], concurrency: number, work: (item: T) => Promise<void>) {
  const rest = items.values();
  const workOffRest = async () => {
    for (const item of rest) await work(item);
  };
  await Promise.all(Array.from({ length: concurrency }, workOffRest));
}
