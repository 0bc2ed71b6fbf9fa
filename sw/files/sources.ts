import { UploadError } from "../../src/core/errors.ts";
import type { Source } from "../../src/protocol/protocol.ts";
import type { UploadDatabase } from "../database/upload-database.ts";
import type { LiveUpload } from "../engine/live-upload.ts";
import type { UploadRecord } from "../model/record.ts";

/**
 * The bytes that are kept of an upload.
 *
 * @throws {UploadError} `FILE_LOST`, `FILE_PERMISSION`, `FILE_CHANGED`
 */
export async function openBytes(
  store: UploadDatabase,
  { id, plan, lastModified }: UploadRecord,
): Promise<Blob> {
  const kept = await store.bytes(id);
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
 * Gives an upload's bytes to `use`, and others once more if they turn out to be unreadable: a copy may have been made since
 * of a file that has changed on disk, and what became of a handle's file shows when it is opened anew.
 *
 * @throws {UploadError} as `openBytes`, and whatever `use` throws
 */
export async function withBytes<T>(
  run: LiveUpload,
  store: UploadDatabase,
  use: (bytes: Blob) => Promise<T>,
): Promise<T> {
  try {
    run.bytes ??= await openBytes(store, run.record);
    return await use(run.bytes);
  } catch (error) {
    if (!(error instanceof UploadError)) throw error;
    if (error.code !== "FILE_LOST" && error.code !== "FILE_CHANGED") throw error;
    // Nothing is kept of it but what could not be read.
    if (run.record.durability === "memory") throw error;
    run.bytes = await openBytes(store, run.record);
    return use(run.bytes);
  }
}
