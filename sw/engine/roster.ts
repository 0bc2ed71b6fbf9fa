import { Emitter } from "../../src/core/emitter.ts";
import type { KeepEnded } from "../../src/core/options.ts";
import type { TraceStep } from "../../src/core/trace.ts";
import type { UploadDatabase } from "../database/index.ts";
import {
  type Effect,
  isFinal,
  outdated,
  owesAbort,
  type UploadEvent,
  type UploadRecord,
} from "../model/index.ts";
import type { Clock } from "../platform/index.ts";
import { LiveUpload } from "./live-upload.ts";
import type { Publisher } from "./publisher.ts";

export interface RosterOptions {
  readonly database: UploadDatabase;
  readonly publisher: Publisher;
  readonly clock: Pick<Clock, "now" | "elapsed">;
  readonly trace: (step: TraceStep) => void;
}

type RosterEvents = {
  /** There may be something to do, or nothing any more. */
  changed: undefined;
  /** The upload with this id has come to its end. */
  ended: string;
  /** The upload with this id was paused. */
  paused: string;
  /** The uploads of this user are shown and driven from now on. */
  owner: string;
};

/** The uploads in this life of the worker. What happens to one is written first, then applied here, then told. */
export class Roster {
  readonly #options: RosterOptions;
  readonly #uploads = new Map<string, LiveUpload>();
  readonly #events = new Emitter<RosterEvents>();
  readonly on = this.#events.on.bind(this.#events);
  /** Uploads with something left to do, be it after a retry. What has ended for good costs nothing any more. */
  readonly #unfinished = new Set<LiveUpload>();
  #unreadableIds: ReadonlySet<string> = new Set();
  #owner = "";

  constructor(options: RosterOptions) {
    this.#options = options;
  }

  /** Reads what is stored, which another worker may have changed. */
  async load(): Promise<void> {
    const { database, clock } = this.#options;
    this.#serve(await database.owner());
    const { records, unreadableIds } = await database.all();
    this.#unreadableIds = new Set(unreadableIds);
    const isNew = new Set<string>();
    // All of them at once: while this waits for something, an event may be written and applied that is not in them.
    for (const record of records) {
      const known = this.#uploads.get(record.id);
      if (known) this.#put(known, record);
      else isNew.add(record.id);
    }
    const parts = await database.allParts();
    for (const record of records) {
      const own = isFinal(record) && record.state !== "failed" ? [] : (parts.get(record.id) ?? []);
      const known = this.#uploads.get(record.id);
      if (known) known.restart(own);
      else if (isNew.has(record.id)) this.#put(new LiveUpload(record, clock, own), record);
    }
  }

  /** Whether there is a stored upload of this id, be it one that only another version of this library can read. */
  isStored(id: string): boolean {
    return this.#uploads.has(id) || this.#unreadableIds.has(id);
  }

  /** Accepts uploads that were just stored. */
  added(records: readonly UploadRecord[]): void {
    const { clock, publisher } = this.#options;
    for (const record of records) {
      this.#put(new LiveUpload(record, clock), record);
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

  /** Takes ended uploads off the list that are not worth keeping any longer, of all users. Never rejects: nothing depends on it. */
  async prune(keep: KeepEnded): Promise<void> {
    const { clock } = this.#options;
    const ended = outdated([...this.#uploads.values()], keep, clock.now());
    await this.applyAll(ended, () => ({ type: "remove" })).catch((error: unknown) =>
      console.warn("backhaul: old entries are left.", error),
    );
  }

  /** All uploads of one user, signed in or not. */
  ofOwner(owner: string): LiveUpload[] {
    return [...this.#uploads.values()].filter(({ record }) => record.owner === owner);
  }

  /** Uploads of the user who is signed in. */
  own(): LiveUpload[] {
    return [...this.#uploads.values()].filter((upload) => this.isOwn(upload));
  }

  /** Unfinished uploads of the user who is signed in: those to be driven, those that wait, those that owe S3 an abort. */
  unfinished(): LiveUpload[] {
    return [...this.#unfinished].filter((upload) => this.isOwn(upload));
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
  apply(upload: LiveUpload, event: UploadEvent): Promise<void> {
    return this.applyAll([upload], () => event);
  }

  /** Writes what an event makes of each of these uploads, all in one transaction, and applies it here. */
  async applyAll(
    uploads: readonly LiveUpload[],
    eventOf: (upload: LiveUpload, index: number) => UploadEvent,
  ): Promise<void> {
    if (uploads.length === 0) return;
    const { database } = this.#options;
    const applied = await database.apply(
      uploads.map((upload, index) => ({ id: upload.id, event: eventOf(upload, index) })),
    );
    const withoutBytes: string[] = [];
    let isToBeDriven = false;
    for (const [index, upload] of uploads.entries()) {
      const { record, effects } = applied[index] ?? { record: undefined, effects: [] };
      this.#accept(upload, record, effects);
      if (record && (effects.includes("deleteParts") || effects.includes("doubtParts")))
        upload.restart(isFinal(record) ? [] : await database.parts(upload.id));
      if (!this.isOwn(upload)) upload.halt();
      if (effects.includes("deleteBytes")) {
        upload.bytes = undefined;
        withoutBytes.push(upload.id);
      }
      if (!record || isFinal(record)) this.#events.emit("ended", upload.id);
      else if (record.state === "paused") this.#events.emit("paused", upload.id);
      // Whoever drives it already goes on by itself, or says when it lets go.
      isToBeDriven ||= effects.includes("drive") && !upload.driving;
    }
    if (isToBeDriven) this.#events.emit("changed", undefined);
    // Nothing waits for this: what is left by a death is an orphan, which the next worker deletes.
    if (withoutBytes.length > 0) database.deleteBytes(withoutBytes).catch(() => {});
  }

  #accept(upload: LiveUpload, record: UploadRecord | undefined, effects: readonly Effect[]): void {
    const { id } = upload;
    const { state: from } = upload.record;
    this.touch(upload);
    if (record && record.state !== from)
      this.#options.trace({ type: "state", id, from, to: record.state, code: codeOf(record) });
    if (record) this.#put(upload, record);
    else {
      this.#uploads.delete(id);
      this.#unfinished.delete(upload);
    }
    if (effects.includes("halt") || !record) upload.halt();
  }

  #put(upload: LiveUpload, record: UploadRecord): void {
    upload.record = record;
    this.#uploads.set(record.id, upload);
    if (isFinal(record) && !owesAbort(record)) this.#unfinished.delete(upload);
    else this.#unfinished.add(upload);
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
