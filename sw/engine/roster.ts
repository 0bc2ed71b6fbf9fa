import { Emitter } from "../../src/core/emitter.ts";
import type { TraceStep } from "../../src/core/trace.ts";
import type { UploadDatabase } from "../database/index.ts";
import { isFinal, type UploadEvent, type UploadRecord } from "../model/index.ts";
import type { Clock } from "../platform/index.ts";
import { LiveUpload } from "./live-upload.ts";
import type { Publisher } from "./publisher.ts";

export interface RosterOptions {
  readonly database: UploadDatabase;
  readonly publisher: Publisher;
  readonly clock: Pick<Clock, "now">;
  readonly trace: (step: TraceStep) => void;
}

type RosterEvents = {
  /** There may be something to do, or nothing any more. */
  changed: undefined;
  /** The upload with this id has come to its end. */
  ended: string;
  /** The uploads of this user are shown and driven from now on. */
  owner: string;
};

/** The uploads in this life of the worker. What happens to one is written first, then applied here, then told. */
export class Roster {
  readonly #options: RosterOptions;
  readonly #uploads = new Map<string, LiveUpload>();
  readonly #events = new Emitter<RosterEvents>();
  readonly on = this.#events.on.bind(this.#events);
  #owner = "";

  constructor(options: RosterOptions) {
    this.#options = options;
  }

  /** Reads what is stored, which another worker may have changed. */
  async load(): Promise<void> {
    const { database, clock } = this.#options;
    this.#serve(await database.owner());
    const { records } = await database.all();
    const isNew = new Set<string>();
    // All of them at once: while this waits for something, an event may be written and applied that is not in them.
    for (const record of records) {
      const known = this.#uploads.get(record.id);
      if (known) known.record = record;
      else isNew.add(record.id);
    }
    for (const record of records) {
      const parts = isFinal(record) ? [] : await database.parts(record.id);
      const known = this.#uploads.get(record.id);
      if (known) known.restart(parts);
      else if (isNew.has(record.id)) this.#uploads.set(record.id, new LiveUpload(record, clock, parts));
    }
  }

  /** Accepts uploads that were just stored. */
  added(records: readonly UploadRecord[]): void {
    const { clock, publisher } = this.#options;
    for (const record of records) {
      this.#uploads.set(record.id, new LiveUpload(record, clock));
      publisher.touch(record.id);
    }
    this.#events.emit("changed", undefined);
  }

  /** Whose uploads are shown and driven; "" while nobody is signed in. */
  get owner(): string {
    return this.#owner;
  }

  /** Halts the uploads of whoever was signed in before. They rest as they are, until their owner is back. */
  async setOwner(owner: string): Promise<void> {
    // First of all: should this worker die over the rest, the next one, with no page to ask, drives the right ones.
    await this.#options.database.setOwner(owner);
    this.#serve(owner);
  }

  /** Uploads of the user who is signed in. */
  own(): LiveUpload[] {
    return [...this.#uploads.values()].filter((upload) => this.isOwn(upload));
  }

  isOwn(upload: LiveUpload): boolean {
    return upload.record.owner === this.#owner;
  }

  /** An upload of whatever user. */
  get(id: string): LiveUpload | undefined {
    return this.#uploads.get(id);
  }

  /** An upload as pages see it: what they have removed may still have to be tidied up at S3. */
  visible(id: string): LiveUpload | undefined {
    const upload = this.#uploads.get(id);
    return upload && this.isOwn(upload) && !(upload.record.state === "canceled" && upload.record.removed)
      ? upload
      : undefined;
  }

  /** Pages are to be told of it, unless it belongs to another user. */
  touch(upload: LiveUpload): void {
    if (this.isOwn(upload)) this.#options.publisher.touch(upload.id);
  }

  /** Writes what this event makes of the upload, and applies it here. */
  async apply(upload: LiveUpload, event: UploadEvent): Promise<void> {
    const { database, trace } = this.#options;
    const { id } = upload;
    const { state: from } = upload.record;
    const [applied] = await database.apply([{ id, event }]);
    this.touch(upload);
    const { record, effects } = applied ?? { record: undefined, effects: [] };
    if (record && record.state !== from)
      trace({ type: "state", id, from, to: record.state, code: codeOf(record) });
    if (record) upload.record = record;
    else this.#uploads.delete(id);
    if (effects.includes("halt") || !record) upload.halt();
    if (record && (effects.includes("deleteParts") || effects.includes("doubtParts")))
      upload.restart(isFinal(record) ? [] : await database.parts(id));
    if (!this.isOwn(upload)) upload.halt();
    if (effects.includes("deleteBytes")) {
      upload.bytes = undefined;
      await database.deleteBytes([id]);
    }
    if (!record || isFinal(record)) this.#events.emit("ended", id);
    if (effects.includes("drive")) this.#events.emit("changed", undefined);
  }

  #serve(owner: string): void {
    const before = this.#owner;
    if (owner === before) return;
    this.#owner = owner;
    this.#events.emit("owner", owner);
    for (const upload of this.#uploads.values()) {
      if (upload.record.owner === before) upload.halt();
      if (upload.record.owner === before || upload.record.owner === owner)
        this.#options.publisher.touch(upload.id);
    }
    this.#events.emit("changed", undefined);
  }
}

function codeOf(record: UploadRecord) {
  return record.state === "waiting" || record.state === "failed" ? record.error.code : null;
}
