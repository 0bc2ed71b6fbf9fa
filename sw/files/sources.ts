import { UploadError } from "../../src/core/errors.ts";
import type { Source } from "../../src/protocol/protocol.ts";
import type { UploadDatabase } from "../database/index.ts";
import type { UploadRecord } from "../model/index.ts";

/** One upload as those see it who read its file. */
export interface FileHolder {
  readonly id: string;
  readonly record: UploadRecord;
  /** The bytes as the page gave them, or as read from the database; undefined until needed. */
  bytes: Blob | undefined;
}

/**
 * The bytes that the database keeps of an upload.
 *
 * @throws {UploadError} `FILE_LOST`, `FILE_PERMISSION`, `FILE_CHANGED`
 */
export async function openBytes(
  database: Pick<UploadDatabase, "bytes">,
  { id, plan, lastModified }: UploadRecord,
): Promise<Blob> {
  const kept = await database.bytes(id);
  if (!kept) throw new UploadError("FILE_LOST");
  if (kept instanceof Blob) return kept;
  const file = await openSource(kept);
  const isSame = file.size === plan.size && (file as File).lastModified === lastModified;
  if (!isSame) throw new UploadError("FILE_CHANGED");
  return file;
}

/** @throws {UploadError} `FILE_LOST`, `FILE_PERMISSION` */
export async function openSource(source: Source): Promise<Blob> {
  if (source instanceof Blob) return source;
  try {
    return await source.getFile();
  } catch (cause) {
    const isRefused = cause instanceof DOMException && cause.name === "NotAllowedError";
    throw new UploadError(isRefused ? "FILE_PERMISSION" : "FILE_LOST", undefined, { cause });
  }
}

/**
 * Gives an upload's bytes to `use`, and others once more if those turn out to be unreadable: a copy may have been made since
 * of a file that has changed on disk, and what became of a handle's file shows when it is opened anew.
 *
 * @throws {UploadError} as `openBytes`, and whatever `use` throws
 */
export async function withBytes<T>(
  upload: FileHolder,
  database: Pick<UploadDatabase, "bytes">,
  use: (bytes: Blob) => Promise<T>,
): Promise<T> {
  try {
    upload.bytes ??= await openBytes(database, upload.record);
    return await use(upload.bytes);
  } catch (error) {
    if (!(error instanceof UploadError)) throw error;
    if (error.code !== "FILE_LOST" && error.code !== "FILE_CHANGED") throw error;
    // Nothing is kept but what could not be read.
    if (upload.record.durability === "memory") throw error;
    upload.bytes = await openBytes(database, upload.record);
    return use(upload.bytes);
  }
}
