import * as v from "valibot";
import { CHECKSUM_KINDS } from "../../src/core/checksum.ts";
import { looksLikeErrorCode, type UploadErrorCode } from "../../src/core/errors.ts";
import type { Source } from "../../src/protocol/protocol.ts";
import type { PartRecord, Remote, UploadRecord } from "../model/index.ts";

/**
 * The schema of stored rows. Any script of this origin can write to the database, and so could an older
 * version of this library.
 */

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const atNone = v.object({ at: v.literal("none") });
const atAsked = v.object({ at: v.literal("asked"), since: count });
const atOpen = v.object({ at: v.literal("open"), token: v.string() });
const anyRemote = v.variant("at", [atNone, atAsked, atOpen]) satisfies v.GenericSchema<Remote>;
const error = v.object({ code: v.custom<UploadErrorCode>(looksLikeErrorCode), detail: v.string() });

const common = {
  id: v.pipe(v.string(), v.uuid()),
  order: count,
  wantedKey: v.string(),
  name: v.string(),
  type: v.string(),
  lastModified: v.nullable(v.number()),
  owner: v.string(),
  laneOption: v.picklist(["auto", "worker", "browser"]),
  priority: v.number(),
  conditions: v.nullable(
    v.object({
      unmetered: v.boolean(),
      notBefore: v.nullable(v.number()),
      hours: v.nullable(v.object({ from: v.number(), to: v.number() })),
    }),
  ),
  method: v.picklist(["single", "multipart"]),
  plan: v.object({
    size: count,
    partSize: count,
    partCount: v.pipe(count, v.minValue(1), v.maxValue(10_000)),
  }),
  checksum: v.picklist(CHECKSUM_KINDS),
  createdAt: count,
  key: v.string(),
  durability: v.picklist(["memory", "stored", "handle"]),
  attempts: count,
  updatedAt: count,
};

const uploadRecord = v.variant("state", [
  v.object({ ...common, state: v.literal("queued"), remote: v.variant("at", [atNone, atAsked]) }),
  v.object({ ...common, state: v.literal("uploading"), remote: atOpen }),
  v.object({ ...common, state: v.literal("completing"), remote: atOpen }),
  v.object({
    ...common,
    state: v.literal("paused"),
    reason: v.picklist(["user", "browser"]),
    remote: anyRemote,
  }),
  v.object({
    ...common,
    state: v.literal("waiting"),
    reason: v.picklist(["offline", "backoff", "auth", "file", "conditions"]),
    nextAttemptAt: v.nullable(v.number()),
    error,
    remote: anyRemote,
  }),
  v.object({ ...common, state: v.literal("failed"), error, remote: anyRemote }),
  v.object({ ...common, state: v.literal("canceled"), remote: anyRemote, removed: v.boolean() }),
  v.object({
    ...common,
    state: v.literal("done"),
    object: v.object({ key: v.string(), size: count, etag: v.string(), location: v.string() }),
  }),
]) satisfies v.GenericSchema<unknown, UploadRecord>;

const partCommon = { uploadId: v.string(), partNumber: v.pipe(count, v.minValue(1), v.maxValue(10_000)) };
const partRecord = v.variant("state", [
  v.object({ ...partCommon, state: v.literal("sending") }),
  v.object({
    ...partCommon,
    state: v.literal("done"),
    etag: v.pipe(v.string(), v.minLength(1)),
    checksum: v.nullable(v.string()),
  }),
]) satisfies v.GenericSchema<unknown, PartRecord>;

/** The row that is written once all pieces of a large file's copy are there. */
export interface CopyHead {
  readonly copyId: string;
  /** Bytes of all pieces together. */
  readonly size: number;
}

const copyHead = v.object({
  copyId: v.string(),
  size: count,
}) satisfies v.GenericSchema<unknown, CopyHead>;

export function isUploadRecord(row: unknown): row is UploadRecord {
  return v.is(uploadRecord, row);
}

export function isPartRecord(row: unknown): row is PartRecord {
  return v.is(partRecord, row);
}

export function isCopyHead(row: unknown): row is CopyHead {
  return v.is(copyHead, row);
}

export function isSource(row: unknown): row is Source {
  // Not every browser has the class FileSystemFileHandle, and those that lack it store none.
  return row instanceof Blob || (typeof row === "object" && row !== null && "getFile" in row);
}
