import { toWire, UploadError } from "../../src/core/errors.ts";
import type { Source } from "../../src/protocol/protocol.ts";
import type { UploadDatabase } from "../database/upload-database.ts";
import type { LiveUpload } from "../engine/live-upload.ts";
import type { Roster } from "../engine/roster.ts";
import { isFinal, needsBytes, type UploadRecord } from "../model/record.ts";
import { hasRoomFor } from "./room.ts";
import { openBytes, openSource } from "./sources.ts";

/** Keeps files in IndexedDB, so that they outlive page and worker: copies, which outlive the file too, or handles. */
export class FileCopies {
  readonly #store: UploadDatabase;
  readonly #roster: Roster;
  /** Those under way, by upload. */
  readonly #underWay = new Map<string, Promise<void>>();
  #last: Promise<void> = Promise.resolve();
  /** Ids of uploads whose bytes are kept before they are added. */
  readonly #coming = new Set<string>();

  constructor(store: UploadDatabase, roster: Roster) {
    this.#store = store;
    this.#roster = roster;
  }

  get isBusy(): boolean {
    return this.#underWay.size > 0;
  }

  /** Settles once this upload's bytes are kept, or can't be. */
  async settled(id: string): Promise<void> {
    await this.#underWay.get(id);
  }

  /** Gives an upload its bytes, at once from memory; they are kept in their turn. */
  take(run: LiveUpload, source: Source, bytes: Blob): void {
    if (isFinal(run.record) || this.#underWay.has(run.id)) return;
    run.bytes = bytes;
    // The worker died between the record and its bytes, and the page has sent the file again.
    void this.#wake(run);
    // One after another: a thousand copies at once would keep the database from everything else.
    const copy = this.#last.then(() => this.#keep(run, source));
    this.#last = copy;
    this.#underWay.set(
      run.id,
      copy.finally(() => {
        this.#underWay.delete(run.id);
        this.#roster.onChanged();
      }),
    );
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
    const ids = uploads.map(({ record }) => record.id);
    for (const id of ids) this.#coming.add(id);
    try {
      await this.#checkRoom(uploads.map(({ source }) => source));
      for (const { record, source } of uploads) await this.#store.putBytes(record.id, source);
      await add();
    } catch (error) {
      for (const id of ids) await this.#store.deleteBytes(id);
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
  async reopen(run: LiveUpload): Promise<void> {
    if (run.record.state !== "waiting" || run.record.reason !== "file" || this.#underWay.has(run.id)) return;
    const kept = await this.#store.bytes(run.id);
    if (!kept || kept instanceof Blob) throw new UploadError("FILE_LOST");
    await openSource(kept);
    await this.#roster.apply(run, { type: "stored", durability: "handle" });
    await this.#wake(run);
  }

  /** A worker that died between the end of an upload and the deletion of its bytes has left them. */
  async deleteOrphans(): Promise<void> {
    for (const id of await this.#store.bytesIds()) {
      if (this.#coming.has(id)) continue;
      const run = this.#roster.get(id);
      if (!run || !needsBytes(run.record)) await this.#store.deleteBytes(id);
    }
  }

  async #wake(run: LiveUpload): Promise<void> {
    if (run.record.state === "waiting" && run.record.reason === "file")
      await this.#roster.apply(run, { type: "wake" });
  }

  async #keep(run: LiveUpload, source: Source): Promise<void> {
    // Small files may arrive before their turn to be copied has come.
    if (!needsBytes(run.record)) return;
    try {
      await this.#checkRoom([source]);
      await this.#store.putBytes(run.id, source);
      // As may have this one, or its user has thought better of it.
      if (!needsBytes(run.record)) return await this.#store.deleteBytes(run.id);
      // From now on the copy: the file on disk may change or vanish.
      if (source instanceof Blob) run.bytes = await openBytes(this.#store, run.record);
      await this.#roster.apply(run, { type: "stored", durability: durabilityOf(source) });
    } catch (error) {
      if (error instanceof UploadError && error.code === "FILE_CHANGED")
        await this.#roster.apply(run, { type: "fail", error: toWire(error) });
      // No room: it goes on from memory, and its snapshot says so.
      else
        console.warn("backhaul: no copy of the file can be kept; the upload ends with this worker.", error);
    }
  }

  /** So that a copy which can't fit isn't begun. */
  async #checkRoom(sources: readonly Source[]): Promise<void> {
    const bytes = sources.reduce((sum, source) => sum + (source instanceof Blob ? source.size : 0), 0);
    if (bytes > 0 && !(await hasRoomFor(bytes))) throw new UploadError("QUOTA_EXCEEDED");
  }
}

/** What an upload's bytes outlive once its source is kept. */
export function durabilityOf(source: Source): "stored" | "handle" {
  return source instanceof Blob ? "stored" : "handle";
}
