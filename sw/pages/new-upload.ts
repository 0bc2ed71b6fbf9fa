import type { ChecksumKind } from "../../src/core/checksum.ts";
import { toFileName } from "../../src/core/file-name.ts";
import type { StorageLimits } from "../../src/core/limits.ts";
import { toMediaType } from "../../src/core/media-type.ts";
import { checkObjectKey } from "../../src/core/object-key.ts";
import type { AddOptions, Conditions, EngineOptions } from "../../src/core/options.ts";
import { checkSize, planParts } from "../../src/core/part-plan.ts";
import type { AddRequest } from "../../src/protocol/protocol.ts";
import { partSizeFor, type UploadConditions, type UploadRecord } from "../model/index.ts";

export interface NewUploadContext {
  readonly owner: string;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Bytes per second of one part, as measured last; null if never. */
  readonly partSpeed: number | null;
  readonly limits: StorageLimits;
  readonly checksum: ChecksumKind;
  readonly options: Pick<EngineOptions, "partSize" | "multipartThresholdBytes">;
}

/**
 * The record that a new upload starts with.
 *
 * @throws {UploadError} `KEY_INVALID`, `FILE_INVALID`, `FILE_TOO_LARGE`, `PART_SIZE_INVALID`
 */
export function newUpload(
  { id, options }: Omit<AddRequest, "source">,
  bytes: Blob,
  context: NewUploadContext,
): UploadRecord {
  const { owner, limits, checksum, now } = context;
  const { key, lane = "auto", priority = 0, conditions } = options;
  checkObjectKey(key, limits);
  checkSize(bytes.size, limits);
  return {
    id,
    key,
    wantedKey: key,
    owner,
    laneOption: lane,
    priority,
    conditions: conditions ? uploadConditions(conditions) : null,
    ...describe(bytes, options),
    ...planFor(bytes.size, options.partSize, context),
    checksum,
    order: 0,
    durability: "memory",
    attempts: 0,
    createdAt: now,
    updatedAt: now,
    state: "queued",
    remote: { at: "none" },
  };
}

function uploadConditions({ unmetered = false, notBefore, hours }: Conditions): UploadConditions {
  return {
    unmetered,
    notBefore: notBefore === undefined ? null : Number(notBefore),
    hours: hours ?? null,
  };
}

function describe(bytes: Blob, { name, type, key }: AddOptions) {
  const isFile = bytes instanceof File;
  return {
    name: toFileName(name ?? (isFile ? bytes.name : key.slice(key.lastIndexOf("/") + 1))),
    // A Blob's type may be any text, such as "foo", and a disk's idea of one; such a file is one of no known type.
    type: toMediaType(type ?? bytes.type) ?? "",
    lastModified: isFile ? bytes.lastModified : null,
  };
}

/** A small file goes in one PUT, but an app that names a part size wants parts. */
function planFor(
  size: number,
  partSize: number | undefined,
  { partSpeed, limits, options }: NewUploadContext,
) {
  if (partSize === undefined && size <= Math.min(options.multipartThresholdBytes, limits.maxPartBytes))
    return { method: "single", plan: { size, partSize: size, partCount: 1 } } as const;
  return {
    method: "multipart",
    plan: planParts(size, partSize ?? partSizeFor(size, options.partSize, partSpeed, limits), limits),
  } as const;
}
