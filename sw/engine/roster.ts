import type { TraceStep } from "../../src/core/trace.ts";
import type { ScopedName } from "../../src/protocol/protocol.ts";
import type { UploadDatabase } from "../database/upload-database.ts";
import { isFinal, type UploadRecord } from "../model/record.ts";
import type { UploadEvent } from "../model/transition.ts";
import { LiveUpload } from "./live-upload.ts";
import { Publisher } from "./publisher.ts";

/** The uploads in this life of the worker. What happens to one is written first, then taken in here, then told. */
export class Roster {
  readonly #store: UploadDatabase;
  readonly #runs = new Map<string, LiveUpload>();
  readonly publisher: Publisher;
  readonly trace: (step: TraceStep) => void;
  #owner = "";
  /** There may be something to do, or nothing any more. */
  onChanged = () => {};
  /** Told of every upload that has come to its end. */
  onEnded = (_id: string) => {};
  /** Another user's uploads are shown and driven from now on. */
  onOwner = () => {};

  constructor(store: UploadDatabase, name: ScopedName, trace: (step: TraceStep) => void) {
    this.#store = store;
    this.trace = trace;
    this.publisher = new Publisher(name, (id) => this.visible(id)?.snapshot());
  }

  /** Reads what is stored, which another worker may have changed. */
  async load(): Promise<void> {
    this.#serve(await this.#store.owner());
    const records = await this.#store.all();
    const isNew = new Set<string>();
    // All of them at once: while this waits for something, an event may be written and taken in that is not in them.
    for (const record of records) {
      const known = this.#runs.get(record.id);
      if (known) known.record = record;
      else isNew.add(record.id);
    }
    for (const record of records) {
      const parts = isFinal(record) ? [] : await this.#store.parts(record.id);
      const known = this.#runs.get(record.id);
      if (known) known.restart(parts);
      else if (isNew.has(record.id)) this.#runs.set(record.id, new LiveUpload(record, parts));
    }
  }

  /** Takes in uploads that were just stored. */
  added(records: readonly UploadRecord[]): void {
    for (const record of records) {
      this.#runs.set(record.id, new LiveUpload(record));
      this.publisher.touch(record.id);
    }
  }

  /** Whose uploads are shown and driven; "" while nobody is signed in. */
  get owner(): string {
    return this.#owner;
  }

  /** Halts the uploads of whoever was signed in before. They rest as they are, until their owner is back. */
  async setOwner(owner: string): Promise<void> {
    // First of all: should this worker die over the rest, the next one, with no page to ask, drives the right ones.
    await this.#store.setOwner(owner);
    this.#serve(owner);
  }

  /** Uploads of the user who is signed in. */
  own(): LiveUpload[] {
    return [...this.#runs.values()].filter((run) => this.isOwn(run));
  }

  isOwn(run: LiveUpload): boolean {
    return run.record.owner === this.#owner;
  }

  /** Whosever it is. */
  get(id: string): LiveUpload | undefined {
    return this.#runs.get(id);
  }

  /** As pages see it: what they have removed may still have to be tidied up at S3. */
  visible(id: string): LiveUpload | undefined {
    const run = this.#runs.get(id);
    return run && this.isOwn(run) && !(run.record.state === "canceled" && run.record.removed)
      ? run
      : undefined;
  }

  /** Pages are to be told of it, unless it is none of theirs. */
  touch(run: LiveUpload): void {
    if (this.isOwn(run)) this.publisher.touch(run.id);
  }

  async apply(run: LiveUpload, event: UploadEvent): Promise<void> {
    const { state: from } = run.record;
    const applied = await this.#store.apply(run.id, event);
    this.touch(run);
    const { record, effects } = applied ?? { record: undefined, effects: [] };
    if (record && record.state !== from)
      this.trace({ type: "state", id: run.id, from, to: record.state, code: codeOf(record) });
    if (record) run.record = record;
    else this.#runs.delete(run.id);
    if (effects.includes("halt") || !record) run.halt();
    if (record && (effects.includes("deleteParts") || effects.includes("doubtParts")))
      run.restart(isFinal(record) ? [] : await this.#store.parts(run.id));
    if (!this.isOwn(run)) run.halt();
    if (effects.includes("deleteBytes")) {
      run.bytes = undefined;
      await this.#store.deleteBytes(run.id);
    }
    if (!record || isFinal(record)) this.onEnded(run.id);
    if (effects.includes("drive")) this.onChanged();
  }

  #serve(owner: string): void {
    const before = this.#owner;
    if (owner === before) return;
    this.#owner = owner;
    this.onOwner();
    for (const run of this.#runs.values()) {
      if (run.record.owner === before) run.halt();
      if (run.record.owner === before || run.record.owner === owner) this.publisher.touch(run.id);
    }
    this.onChanged();
  }
}

function codeOf(record: UploadRecord) {
  return record.state === "waiting" || record.state === "failed" ? record.error.code : null;
}
