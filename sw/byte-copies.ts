import { toWire, UploadError } from "../src/core/errors.ts";
import { isFinal, needsBytes } from "../src/core/upload.ts";
import type { Roster } from "./roster.ts";
import type { UploadRun } from "./upload-run.ts";
import type { UploadStore } from "./upload-store.ts";

/** Keeps copies of files in IndexedDB, so that they outlive the page, the worker, and what happens to them on disk. */
export class ByteCopies {
  readonly #store: UploadStore;
  readonly #roster: Roster;
  /** Those under way, by upload. */
  readonly #underWay = new Map<string, Promise<void>>();
  #last: Promise<void> = Promise.resolve();

  constructor(store: UploadStore, roster: Roster) {
    this.#store = store;
    this.#roster = roster;
  }

  get isBusy(): boolean {
    return this.#underWay.size > 0;
  }

  /** Settles once this upload's copy is there, or can't be made. */
  async settled(id: string): Promise<void> {
    await this.#underWay.get(id);
  }

  /** Gives an upload its bytes, at once from memory; their copy follows. */
  take(run: UploadRun, source: Blob): void {
    const { record } = run;
    if (isFinal(record) || record.durability === "stored" || this.#underWay.has(run.id)) return;
    run.bytes = source;
    // The worker died between the record and its bytes, and the page has sent the file again.
    if (record.state === "waiting" && record.reason === "file")
      void this.#roster.apply(run, { type: "wake" });
    // One after another: a thousand copies at once would keep the database from everything else.
    const copy = this.#last.then(() => this.#copy(run, source));
    this.#last = copy;
    this.#underWay.set(
      run.id,
      copy.finally(() => {
        this.#underWay.delete(run.id);
        this.#roster.onChanged();
      }),
    );
  }

  /** A worker that died between the end of an upload and the deletion of its bytes has left them. */
  async deleteOrphans(): Promise<void> {
    for (const id of await this.#store.bytesIds()) {
      const run = this.#roster.get(id);
      if (!run || !needsBytes(run.record)) await this.#store.deleteBytes(id);
    }
  }

  async #copy(run: UploadRun, source: Blob): Promise<void> {
    // Small files may arrive before their turn to be copied has come.
    if (!needsBytes(run.record)) return;
    try {
      await this.#store.putBytes(run.id, source);
      // As may have this one, or its user has thought better of it.
      if (!needsBytes(run.record)) return await this.#store.deleteBytes(run.id);
      // From now on the copy: the file on disk may change or vanish.
      run.bytes = await this.#store.bytes(run.id);
      await this.#roster.apply(run, { type: "stored" });
    } catch (error) {
      if (error instanceof UploadError && error.code === "SOURCE_CHANGED")
        await this.#roster.apply(run, { type: "fail", error: toWire(error) });
      // No room: it goes on from memory, and its snapshot says so.
      else
        console.warn("backhaul: no copy of the file can be kept; the upload ends with this worker.", error);
    }
  }
}
