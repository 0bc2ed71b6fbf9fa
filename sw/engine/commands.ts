import { UploadError } from "../../src/core/errors.ts";
import type { WireSnapshot } from "../../src/core/snapshot.ts";
import type { BelievedOwner, ListMark, Source, UploadList } from "../../src/protocol/protocol.ts";
import type { UploadDatabase } from "../database/upload-database.ts";
import { durabilityOf, type FileCopies } from "../files/file-copies.ts";
import { openSource } from "../files/sources.ts";
import { isFinal, needsBytes, type UploadRecord } from "../model/record.ts";
import type { UploadEvent } from "../model/transition.ts";
import type { LiveUpload } from "./live-upload.ts";
import type { Roster } from "./roster.ts";

/** An upload that was just asked for. */
export interface NewUpload {
  readonly record: UploadRecord;
  readonly source: Source;
  /** What the source gave when it was opened. */
  readonly bytes: Blob;
  readonly requireDurable: boolean;
}

/** What pages want of the uploads. */
export class Commands {
  readonly #roster: Roster;
  readonly #keeper: FileCopies;
  readonly #store: UploadDatabase;

  constructor(roster: Roster, keeper: FileCopies, store: UploadDatabase) {
    this.#roster = roster;
    this.#keeper = keeper;
    this.#store = store;
  }

  list(): Omit<UploadList, "hasRelay"> {
    const snapshots: WireSnapshot[] = [];
    for (const { id } of this.#roster.own()) {
      const snapshot = this.#roster.visible(id)?.snapshot();
      if (snapshot) snapshots.push(snapshot);
    }
    return this.#roster.publisher.list(snapshots);
  }

  /** Where pages will have seen everything that was done so far. */
  get mark(): ListMark {
    return this.#roster.publisher.mark;
  }

  get owner(): string {
    return this.#roster.owner;
  }

  /** @throws {UploadError} `OWNER_CHANGED` if the page takes somebody else to be signed in */
  checkOwner(believed: BelievedOwner): void {
    if (believed !== null && believed !== this.owner) throw new UploadError("OWNER_CHANGED");
  }

  setOwner(owner: string): Promise<void> {
    return this.#roster.setOwner(owner);
  }

  /** Adds uploads and settles once each is durable, or can't be made so. Adding an id again only waits for that. */
  async add(uploads: readonly NewUpload[]): Promise<void> {
    const required = uploads.filter(
      ({ record, requireDurable }) => requireDurable && !this.#roster.get(record.id),
    );
    await this.#keeper.keepFirst(required, async () => {
      const records = uploads.map((upload) =>
        required.includes(upload)
          ? { ...upload.record, durability: durabilityOf(upload.source) }
          : upload.record,
      );
      this.#roster.added(await this.#store.add(records));
    });
    for (const { record, source, bytes } of uploads) {
      const run = this.#roster.get(record.id);
      if (run?.record.durability === "memory") this.#keeper.take(run, source, bytes);
    }
    this.#roster.onChanged();
    await Promise.all(uploads.map(({ record }) => this.#keeper.settled(record.id)));
  }

  /** Gives back the bytes of an upload that has lost them. */
  async attach(id: string, source: Source): Promise<void> {
    const run = this.#find(id);
    const { record } = run;
    if (record.state !== "waiting" || record.reason !== "file")
      throw new UploadError("STATE_INVALID", "it does not wait for its file");
    const bytes = await openSource(source);
    const sameTime =
      record.lastModified === null || (bytes instanceof File && bytes.lastModified === record.lastModified);
    if (bytes.size !== record.plan.size || !sameTime) throw new UploadError("FILE_MISMATCH", record.name);
    this.#keeper.take(run, source, bytes);
    await this.#roster.apply(run, { type: "wake" });
    await this.#keeper.settled(id);
  }

  /** @throws {UploadError} `STATE_INVALID` if there is none */
  async handle(id: string): Promise<FileSystemFileHandle> {
    const { id: found } = this.#find(id);
    const source = await this.#store.bytes(found);
    if (!source || source instanceof Blob)
      throw new UploadError("STATE_INVALID", "it was not added by a handle");
    return source;
  }

  /** @throws {UploadError} `FILE_LOST`, `FILE_PERMISSION` */
  async reopen(id: string): Promise<void> {
    await this.#keeper.reopen(this.#find(id));
  }

  /** Applies what the user said to one upload, or to all. */
  async steer(id: string | null, event: Extract<UploadEvent, { type: "pause" | "resume" }>): Promise<void> {
    const runs = id === null ? this.#roster.own() : [this.#find(id)];
    await Promise.all(runs.map((run) => this.#roster.apply(run, event)));
  }

  async retry(id: string): Promise<void> {
    const run = this.#find(id);
    if (run.record.state !== "failed")
      throw new UploadError("STATE_INVALID", "only a failed upload can be retried");
    await this.#roster.apply(run, { type: "retry" });
  }

  async cancel(id: string): Promise<void> {
    const run = this.#find(id);
    if (run.record.state === "done") throw new UploadError("STATE_INVALID", "it is done already");
    await this.#roster.apply(run, { type: "cancel" });
  }

  async remove(id: string | null): Promise<void> {
    if (id === null) {
      const ended = this.#roster.own().filter(({ record }) => !needsBytes(record));
      await Promise.all(ended.map((run) => this.#roster.apply(run, { type: "remove" })));
      return;
    }
    const run = this.#roster.visible(id);
    if (!run) return;
    if (!isFinal(run.record)) throw new UploadError("STATE_INVALID", "cancel it first");
    await this.#roster.apply(run, { type: "remove" });
  }

  /** The user has signed in. */
  async authorized(): Promise<void> {
    for (const run of this.#roster.own())
      if (run.record.state === "waiting" && run.record.reason === "auth")
        await this.#roster.apply(run, { type: "wake" });
  }

  #find(id: string): LiveUpload {
    const run = this.#roster.visible(id);
    if (!run) throw new UploadError("UPLOAD_NOT_FOUND", id);
    return run;
  }
}
