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

/** Which uploads to clean up. */
export interface CleanUpOptions {
  /** The app's own client. Its credentials need `s3:ListBucketMultipartUploads` on the bucket and `s3:AbortMultipartUpload` on the objects. */
  readonly client: S3Client;
  /** Name of the bucket. */
  readonly bucket: string;
  /**
   * Uploads begun at least this long ago are aborted: "24h". If one of them is still going on, or paused, it
   * starts again from its first byte, so give at least the time that an upload may take (`tokenSeconds`: 7 days
   * by default).
   */
  readonly olderThan: TimeSpan;
  /** Only uploads whose key begins with this are cleaned up. @default "" */
  readonly prefix?: string;
  /** Whether to only report uploads and abort none. @default false */
  readonly dryRun?: boolean;
  /** Called for every open upload, as soon as its outcome is known. @default none */
  readonly onUpload?: (upload: CleanUpUpload) => void;
}

/** An open multipart upload, and what has become of it. */
export interface CleanUpUpload {
  /** The key that its object would have. */
  readonly key: string;
  /** S3's id of the multipart upload. */
  readonly uploadId: string;
  /** When the upload was begun, by S3's clock. */
  readonly initiated: Date;
  /**
   * - `young`: it was begun too recently, and is left alone
   * - `stale`: it would have been aborted, but for `dryRun`
   * - `aborted`: it was aborted now
   * - `ended`: somebody else has completed or aborted it meanwhile
   * - `failed`: it could not be aborted, and is still open
   */
  readonly outcome: "young" | "stale" | "aborted" | "ended" | "failed";
  /** Why it could not be aborted, with S3's answer as `cause`; absent unless `failed`. */
  readonly error?: Error;
}

/** The number of uploads by outcome. */
export type CleanUpSummary = Readonly<Record<CleanUpUpload["outcome"], number>>;

// Eight aborts at once are quick, and no burden to an engine that takes seconds for each.
const ABORTS_AT_ONCE = 8;

/**
 * Aborts multipart uploads that were begun long ago and never ended; their parts take up paid storage that no
 * listing of objects shows. For buckets without a lifecycle rule, and for engines that have none. It may run as
 * often as you like, on several machines at once.
 *
 * **It aborts the uploads of other programs too**: S3 does not list an upload's metadata, so Backhaul's own
 * uploads can't be told from others. Where other programs upload to the same bucket, give a `prefix`.
 *
 * An upload that can't be aborted is counted and skipped.
 *
 * @throws {TypeError} if an option has an invalid value
 * @throws if the uploads can't be listed, with S3's answer as `cause`; uploads aborted before stay aborted
 */
export async function cleanUp(options: CleanUpOptions): Promise<CleanUpSummary> {
  const { bucket, olderThan, prefix = "", dryRun = false, onUpload } = options;
  if (bucket === "") throw new TypeError("bucket is empty");
  const ageMs = parseTimeSpan(olderThan);
  if (ageMs === null)
    throw new TypeError(`olderThan is ${JSON.stringify(olderThan)}: expected a duration such as "24h"`);
  const client = boundedClient(options.client);
  // This machine's clock is accurate enough: S3 refuses requests if the clock is off by 15 minutes.
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
