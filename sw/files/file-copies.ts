import { toWire, UploadError } from "../../src/core/errors.ts";
import type { Source } from "../../src/protocol/protocol.ts";
import type { UploadDatabase } from "../database/index.ts";
import { isFinal, needsBytes, type UploadEvent, type UploadRecord } from "../model/index.ts";
import type { Platform } from "../platform/index.ts";
import { CopyTurns } from "./copy-turns.ts";
import { hasRoomFor } from "./room.ts";
import { type FileHolder, openSource } from "./sources.ts";

export interface FileCopiesOptions<Upload extends FileHolder> {
  readonly database: UploadDatabase;
  readonly platform: Pick<Platform, "storageEstimate">;
  readonly find: (id: string) => Upload | undefined;
  /** Whether there is a stored upload of this id, be it one that only another version of this library can read. */
  readonly isStored: (id: string) => boolean;
  readonly apply: (upload: Upload, event: UploadEvent) => Promise<void>;
  /** One copy less is under way. */
  readonly onSettled: () => void;
  /** The database is lost, and with it whatever rests on it. */
  readonly onFailure: (error: unknown) => void;
}

/** Keeps files in the database, so that they outlive page and worker: copies, which outlive the file too, or handles. */
export class FileCopies<Upload extends FileHolder> {
  readonly #options: FileCopiesOptions<Upload>;
  /** Copies under way, by upload. */
  readonly #underWay = new Map<string, { readonly settled: Promise<void>; readonly stop: AbortController }>();
  readonly #turns: CopyTurns;
  #estimating: Promise<StorageEstimate> | undefined;
  /** Ids of uploads whose bytes are kept before they are added. */
  readonly #coming = new Set<string>();

  constructor(options: FileCopiesOptions<Upload>) {
    this.#options = options;
    this.#turns = new CopyTurns(options.database.chunkBytes);
  }

  get isBusy(): boolean {
    return this.#underWay.size > 0;
  }

  /**
   * Settles once this upload's bytes are kept, or can't be.
   *
   * @throws {UploadError} `DATABASE_CLOSED`: another connection may still keep them
   */
  async settled(id: string): Promise<void> {
    await this.#underWay.get(id)?.settled;
  }

  /** The upload has come to its end, so that its bytes are not needed any more. */
  ended(id: string): void {
    this.#underWay.get(id)?.stop.abort();
  }

  /** Gives an upload its bytes, at once from memory; they are copied in their turn. */
  accept(upload: Upload, source: Source, bytes: Blob): void {
    if (isFinal(upload.record) || this.#underWay.has(upload.id)) return;
    upload.bytes = bytes;
    // The worker died between the record and its bytes, and the page has sent the file again. Where the record can't be
    // written, the copy can't be kept either, and its page is told.
    this.#wake(upload).catch(() => {});
    const stop = new AbortController();
    const settled = this.#turns
      .run(sizeOf(source), () => this.#keep(upload, source, stop.signal))
      .catch((error: unknown) => {
        if (isDatabaseClosed(error)) {
          this.#options.onFailure(error);
          throw error;
        }
        console.warn("backhaul: a copy has failed.", error);
      })
      .finally(() => {
        this.#underWay.delete(upload.id);
        this.#options.onSettled();
      });
    // Those who wait for it are told; often nobody does any more.
    settled.catch(() => {});
    this.#underWay.set(upload.id, { settled, stop });
  }

  /**
   * Keeps the bytes of uploads that are not there yet, then has them added: all of it, or nothing.
   *
   * @throws {UploadError} `QUOTA_EXCEEDED`, `FILE_CHANGED`, and whatever `add` throws
   */
  async keepFirst(
    uploads: readonly { readonly record: UploadRecord; readonly source: Source }[],
    add: () => Promise<void>,
  ): Promise<void> {
    const { database } = this.#options;
    const ids = uploads.map(({ record }) => record.id);
    for (const id of ids) this.#coming.add(id);
    try {
      await this.#checkRoom(uploads.map(({ source }) => source));
      const stop = new AbortController();
      const kept = uploads.map(({ record, source }) =>
        this.#turns
          .run(sizeOf(source), () => database.putBytes(record.id, source, stop.signal))
          .catch((error: unknown) => stop.abort(error)),
      );
      await Promise.all(kept);
      stop.signal.throwIfAborted();
      await add();
    } catch (error) {
      await database.deleteBytes(ids);
      throw error;
    } finally {
      for (const id of ids) this.#coming.delete(id);
    }
  }

  /**
   * Goes on with an upload whose file could not be read, if it can be now.
   *
   * @throws {UploadError} `FILE_LOST`, `FILE_PERMISSION`
   */
  async reopen(upload: Upload): Promise<void> {
    const { record, id } = upload;
    if (record.state !== "waiting" || record.reason !== "file" || this.#underWay.has(id)) return;
    const kept = await this.#options.database.bytes(id);
    if (!kept) throw new UploadError("FILE_LOST");
    await openSource(kept);
    await this.#options.apply(upload, { type: "stored", durability: durabilityOf(kept) });
    await this.#wake(upload);
  }

  /** Deletes the bytes that a worker has left which died between the end of an upload and their deletion. */
  async deleteOrphans(): Promise<void> {
    const { database, find, isStored } = this.#options;
    const orphans = (await database.bytesIds()).filter((id) => {
      const upload = find(id);
      const isNeeded = upload ? needsBytes(upload.record) : isStored(id);
      return !isNeeded && !this.#coming.has(id);
    });
    if (orphans.length > 0) await database.deleteBytes(orphans);
  }

  async #wake(upload: Upload): Promise<void> {
    if (upload.record.state === "waiting" && upload.record.reason === "file")
      await this.#options.apply(upload, { type: "wake" });
  }

  async #keep(upload: Upload, source: Source, signal: AbortSignal): Promise<void> {
    const { database, apply } = this.#options;
    // Small files may have arrived before their turn to be copied comes.
    if (!needsBytes(upload.record)) return;
    try {
      await this.#checkRoom([source]);
      await database.putBytes(upload.id, source, signal);
      // The upload may have ended meanwhile.
      if (!needsBytes(upload.record)) return await database.deleteBytes([upload.id]);
      // From now on the copy is read: the file on disk may change or vanish.
      if (source instanceof Blob) upload.bytes = undefined;
      await apply(upload, { type: "stored", durability: durabilityOf(source) });
      // Its driver may have found the file missing since it was given.
      await this.#wake(upload);
    } catch (error) {
      if (signal.aborted) return;
      if (isDatabaseClosed(error)) throw error;
      if (error instanceof UploadError && error.code === "FILE_CHANGED")
        await apply(upload, { type: "fail", error: toWire(error) });
      // Without room for a copy the upload goes on from memory, and its snapshot says so.
      else console.warn("backhaul: no copy can be kept: the upload ends with this worker.", error);
    }
  }

  /** One question to the browser for all copies that begin at the same time. */
  #storageEstimate(): Promise<StorageEstimate> {
    this.#estimating ??= this.#options.platform.storageEstimate().finally(() => {
      this.#estimating = undefined;
    });
    return this.#estimating;
  }

  /** Refuses a copy that can't fit, so that it isn't begun. */
  async #checkRoom(sources: readonly Source[]): Promise<void> {
    const bytes = sources.reduce((sum, source) => sum + sizeOf(source), 0);
    if (bytes > 0 && !(await hasRoomFor(bytes, { storageEstimate: () => this.#storageEstimate() })))
      throw new UploadError("QUOTA_EXCEEDED");
  }
}

/** The engine ends with its connection, and the bytes that it has in memory are of no use to the next one. */
function isDatabaseClosed(error: unknown): boolean {
  return error instanceof UploadError && error.code === "DATABASE_CLOSED";
}

/** Bytes that a copy of the source needs. Of a handle's file none is made. */
function sizeOf(source: Source): number {
  return source instanceof Blob ? source.size : 0;
}

/** How long an upload's bytes last once its source is kept. */
export function durabilityOf(source: Source): "stored" | "handle" {
  return source instanceof Blob ? "stored" : "handle";
}
