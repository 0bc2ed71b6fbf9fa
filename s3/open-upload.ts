import {
  AbortMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import { type ChecksumKind, isSigned } from "../src/core/checksum.ts";
import { StorageFault } from "../src/core/storage.ts";
import { algorithmOf } from "./checksums.ts";
import { clockOffsetMs } from "./clock.ts";
import { metadataOf, type ObjectSettings, settingFields } from "./object-settings.ts";
import { required } from "./s3-answer.ts";
import { isNoSuchUpload, toStorageFault } from "./s3-faults.ts";
import { storedType } from "./signer.ts";

// S3 tells the time of an upload by its own clock, to the second.
const CLOCK_TOLERANCE_MS = 60_000;
// The client says how long it has been trying, and a key may have any number of open uploads. One try in a
// row after another loses its answer only on a very bad link.
const MAX_LOST_TRIES = 8;
const MAX_PAGES = 4;

export interface OpenIntent {
  readonly bucket: string;
  readonly key: string;
  /** The page's id of the upload. */
  readonly uploadId: string;
  /** MIME type, "" where unknown. */
  readonly type: string;
  readonly checksum: ChecksumKind;
  /** Headers and metadata of the object besides its type. @default none */
  readonly object?: ObjectSettings;
  /** Milliseconds since the first try whose answer was lost; null for a first try. */
  readonly triedForMs: number | null;
}

/**
 * Opens a multipart upload and returns S3's id of it, leaving no other one behind that an earlier, lost try
 * has opened.
 *
 * @param onLeftOpen is told if lost tries may have stayed open, since S3 does not allow to list them (a
 *   missing permission) or there are more of them than are looked at; the bucket's lifecycle rule then has to
 *   clear them away
 */
export async function openMultipartUpload(
  client: S3Client,
  intent: OpenIntent,
  onLeftOpen: (error: StorageFault) => void,
): Promise<string> {
  const { bucket, key, uploadId, type, checksum, object = {}, triedForMs } = intent;
  const startedAt = Date.now();
  if (triedForMs !== null) {
    try {
      await abortLostTries(startedAt - triedForMs, null);
    } catch (error) {
      const fault = toStorageFault(error);
      if (fault.kind !== "permanent") throw fault;
      onLeftOpen(fault);
    }
  }

  const answer = await client.send(
    new CreateMultipartUploadCommand({
      Bucket: bucket,
      Key: key,
      Metadata: metadataOf(uploadId, object),
      ContentType: storedType(type),
      ...settingFields(object),
      ...(isSigned(checksum) && {
        ChecksumAlgorithm: algorithmOf(checksum),
        // S3 has one type for CRC-64, and another one for SHA-256.
        ChecksumType: checksum === "crc64nvme" ? "FULL_OBJECT" : "COMPOSITE",
      }),
    }),
  );
  const openedId = required(answer.UploadId, "upload id");
  // The SDK tries again by itself, and an answer may have been lost there. To fail now would leave this one
  // open as well.
  if ((answer.$metadata.attempts ?? 1) > 1)
    await abortLostTries(startedAt, openedId).catch((error) => onLeftOpen(toStorageFault(error)));
  return openedId;

  async function abortLostTries(since: number, except: string | null): Promise<void> {
    const { ids, isAll } = await listOpen(client, bucket, key, since - CLOCK_TOLERANCE_MS);
    const lost = ids.filter((id) => id !== except);
    for (const id of lost.slice(0, MAX_LOST_TRIES)) await abortIfEmpty(client, bucket, key, id);
    if (!isAll || lost.length > MAX_LOST_TRIES)
      onLeftOpen(
        new StorageFault("transient", "SERVER_ERROR", {
          detail: `only the ${MAX_LOST_TRIES} newest of the key's open uploads were checked`,
        }),
      );
  }
}

/**
 * Ids of the uploads for exactly this key that were opened since, the newest first. More pages than one,
 * since not every engine puts the key itself before those that merely begin with it.
 */
async function listOpen(
  client: S3Client,
  bucket: string,
  key: string,
  since: number,
): Promise<{ readonly ids: readonly string[]; readonly isAll: boolean }> {
  const found: { readonly id: string; readonly initiated: number }[] = [];
  const newestFirst = () => found.sort((a, b) => b.initiated - a.initiated).map(({ id }) => id);
  let marker: { KeyMarker: string; UploadIdMarker: string } | undefined;
  for (let pages = 1; ; pages++) {
    const page = await client.send(
      new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: key, ...marker }),
    );
    // Without this check an answer of something that is not S3 would read as an empty list.
    required(page.Bucket, "bucket");
    // S3 tells the time by its own clock, which the SDK knows now at the latest.
    const from = since + clockOffsetMs(client);
    for (const { Key, UploadId, Initiated } of page.Uploads ?? [])
      if (Key === key && UploadId && Initiated && Initiated.getTime() >= from)
        found.push({ id: UploadId, initiated: Initiated.getTime() });
    const { NextKeyMarker, NextUploadIdMarker } = page;
    const isAll = !page.IsTruncated || !NextKeyMarker || !NextUploadIdMarker;
    const isStuck = NextKeyMarker === marker?.KeyMarker && NextUploadIdMarker === marker?.UploadIdMarker;
    if (isAll || isStuck || pages === MAX_PAGES) return { ids: newestFirst(), isAll };
    marker = { KeyMarker: NextKeyMarker, UploadIdMarker: NextUploadIdMarker };
  }
}

/**
 * Aborts an upload that has no parts. It can't be told whose try it was; to abort it is safe where to adopt
 * it is not: should another client have opened it just now, that one finds it gone and begins anew, with
 * nothing sent yet.
 */
async function abortIfEmpty(
  client: S3Client,
  bucket: string,
  key: string,
  s3UploadId: string,
): Promise<void> {
  const upload = { Bucket: bucket, Key: key, UploadId: s3UploadId };
  try {
    const { Parts } = await client.send(new ListPartsCommand({ ...upload, MaxParts: 1 }));
    if ((Parts ?? []).length === 0) await client.send(new AbortMultipartUploadCommand(upload));
  } catch (error) {
    if (!isNoSuchUpload(error)) throw error;
  }
}
