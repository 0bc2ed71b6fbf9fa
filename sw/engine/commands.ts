import type { ChecksumKind } from "../../src/core/checksum.ts";
import { UploadError } from "../../src/core/errors.ts";
import type { KeepEnded } from "../../src/core/options.ts";
import type { WireSnapshot } from "../../src/core/snapshot.ts";
import type { PauseReason } from "../../src/core/states.ts";
import type { UploadStorage } from "../../src/core/storage.ts";
import type { TraceStep } from "../../src/core/trace.ts";
import type {
  BelievedOwner,
  HandOverCandidate,
  ListMark,
  MarkedList,
  Source,
} from "../../src/protocol/protocol.ts";
import type { BackgroundFetches } from "../background-fetch/index.ts";
import type { UploadDatabase } from "../database/index.ts";
import { durabilityOf, type FileCopies, openSource } from "../files/index.ts";
import { isFinal, needsBytes } from "../model/index.ts";
import type { NewUpload, UploadCommands } from "../pages/index.ts";
import { type ChecksumAlgorithm, compareSource } from "../parts/index.ts";
import type { Clock } from "../platform/index.ts";
import { abortAll } from "./abort-all.ts";
import type { BeginAhead } from "./begin-ahead.ts";
import type { HandedOverUploads } from "./handed-over-uploads.ts";
import type { LiveUpload } from "./live-upload.ts";
import type { Publisher } from "./publisher.ts";
import type { Roster } from "./roster.ts";
import type { Supervisor } from "./supervisor.ts";

export interface CommandsOptions {
  readonly roster: Roster;
  readonly supervisor: Supervisor;
  readonly publisher: Publisher;
  readonly copies: FileCopies<LiveUpload>;
  readonly database: UploadDatabase;
  readonly handedOver: HandedOverUploads;
  readonly fetches: BackgroundFetches;
  readonly storage: Pick<UploadStorage, "abort">;
  readonly clock: Pick<Clock, "after" | "elapsed">;
  readonly trace: (step: TraceStep) => void;
  readonly keepEnded: KeepEnded;
  /** Begins uploads for the page that will hand them over. */
  readonly ahead: Pick<BeginAhead, "check">;
  /** Undefined if this worker does not have the algorithm. */
  readonly algorithmOf: (kind: ChecksumKind) => ChecksumAlgorithm | undefined;
}

/** A list is not read through for old entries more often than this. */
const PRUNE_EVERY_MS = 3_600_000;

/** The commands that pages give. */
export class Commands implements UploadCommands {
  readonly #options: CommandsOptions;
  /** Uploads that are being written for the first time. */
  readonly #adding = new Set<Promise<void>>();
  #prunedAt = Number.NEGATIVE_INFINITY;

  constructor(options: CommandsOptions) {
    this.#options = options;
  }

  list(): MarkedList {
    const { roster, publisher } = this.#options;
    const snapshots: WireSnapshot[] = [];
    for (const { id } of roster.own()) {
      const snapshot = roster.visible(id)?.report();
      if (snapshot) snapshots.push(snapshot);
    }
    return publisher.list(snapshots);
  }

  promiseMark(): ListMark {
    return this.#options.publisher.promiseMark();
  }

  get owner(): string {
    return this.#options.roster.owner;
  }

  get partSpeed(): number | null {
    return this.#options.supervisor.partSpeed;
  }

  get linkSpeed(): number | null {
    return this.#options.supervisor.linkSpeed;
  }

  /** @throws {UploadError} `OWNER_CHANGED` if the page believes somebody else to be signed in */
  checkOwner(believed: BelievedOwner): void {
    if (believed !== null && believed !== this.owner) throw new UploadError("OWNER_CHANGED");
  }

  async setOwner(owner: string): Promise<void> {
    await this.#options.roster.setOwner(owner);
    await this.#options.fetches.takeBackForeign();
  }

  /**
   * Deletes whatever this device keeps of a user's: files, records, tokens. What is open at S3 is aborted, as far as the server
   * can be reached within some seconds with the headers and cookies of now; the rest is left to the bucket's lifecycle rule.
   */
  async forget(owner: string): Promise<void> {
    const { roster, database, clock, storage, trace, fetches } = this.#options;
    await Promise.allSettled(this.#adding);
    const uploads = roster.ofOwner(owner);
    const ids = uploads.map(({ id }) => id);
    const tokens = uploads.flatMap(({ record }) =>
      "remote" in record && record.remote.at === "open" ? [record.remote.token] : [],
    );
    const asked = uploads.filter(({ record }) => "remote" in record && record.remote.at === "asked").length;
    // Before anything else: files and parts are gone, nothing moves any more, and tokens stay only until they have been used.
    await roster.applyAll(uploads, () => ({ type: "cancel" }));
    await database.deleteBytes(ids);
    const aborted = await abortAll(tokens, storage, clock);
    // In one write, since a begin that is answered between two would have its token kept.
    await roster.applyAll([...uploads, ...uploads], (_, index) => ({
      type: index < uploads.length ? "aborted" : "remove",
    }));
    // A copy that was at its last step may have come to its end meanwhile.
    await database.deleteBytes(ids);
    const leftOpen = tokens.length - aborted + asked;
    trace({ type: "forgotten", uploads: uploads.length, leftOpen });
    if (leftOpen > 0)
      console.warn(`backhaul: ${leftOpen} unfinished uploads are left to the bucket's lifecycle rule.`);
    // The name of who was signed in last is stored, too.
    if (owner === roster.owner) await this.setOwner("");
    else await fetches.takeBackForeign();
  }

  /** Adds uploads and settles once each is durable, or can't be made so. Adding an id again only waits for that. */
  async add(uploads: readonly NewUpload[]): Promise<void> {
    const { roster, copies, database } = this.#options;
    const required = uploads.filter(({ record, requireDurable }) => requireDurable && !roster.get(record.id));
    const adding = copies.keepFirst(required, async () => {
      const records = uploads.map((upload) =>
        required.includes(upload)
          ? { ...upload.record, durability: durabilityOf(upload.source) }
          : upload.record,
      );
      roster.added(await database.add(records));
    });
    this.#adding.add(adding);
    await adding.finally(() => this.#adding.delete(adding));
    for (const { record, source, bytes } of uploads) {
      const upload = roster.get(record.id);
      if (upload?.record.durability === "memory") copies.accept(upload, source, bytes);
    }
    await Promise.all(uploads.map(({ record }) => copies.settled(record.id)));
  }

  /**
   * Gives back the bytes of an upload that has lost them. Before anything is sent, each part that S3 has is compared with them:
   * no object is ever made of two files.
   *
   * @throws {UploadError} `STATE_INVALID`, `FILE_MISMATCH`, `FILE_LOST`, `CHECKSUM_UNAVAILABLE`; nothing has changed then
   */
  async attach(id: string, source: Source): Promise<void> {
    const { roster, copies } = this.#options;
    const upload = this.#find(id);
    // A worker that died over this call may have woken the upload before it had kept the file. Whoever drives it finds out.
    if (hasLostBytes(upload)) await upload.driving;
    const { record } = upload;
    if (isFinal(record) && record.state !== "done") throw new UploadError("STATE_INVALID", "it has ended");
    const bytes = await openSource(source);
    const isSameTime =
      record.lastModified === null || (bytes instanceof File && bytes.lastModified === record.lastModified);
    if (bytes.size !== record.plan.size || !isSameTime) throw new UploadError("FILE_MISMATCH", record.name);
    // It has its file, maybe by a call whose answer was lost.
    if (!hasLostBytes(upload)) return;
    await this.#assertIsSameFile(upload, bytes);
    if (upload.record !== record) return this.attach(id, source);
    copies.accept(upload, source, bytes);
    await roster.apply(upload, { type: "wake" });
    await copies.settled(id);
  }

  async #assertIsSameFile(upload: LiveUpload, bytes: Blob): Promise<void> {
    const { algorithmOf, database } = this.#options;
    const { ledger, record, id } = upload;
    const { checksum: kind, plan } = record;
    const receipts = ledger.receipts();
    const noneKnown = receipts.map(({ partNumber }) => partNumber);
    const { isOther, unknown } = await compareSource(bytes, { plan, receipts, kind, algorithmOf }).catch(
      (error: unknown) => {
        // Without checksums a worker need not be able to make any.
        const isWithout =
          kind === "none" && error instanceof UploadError && error.code === "CHECKSUM_UNAVAILABLE";
        if (isWithout) return { isOther: false, unknown: noneKnown };
        throw error;
      },
    );
    if (isOther) throw new UploadError("FILE_MISMATCH", record.name);
    // All kinds but this one have what is unknown compared before the end.
    if (kind !== "none" || !("remote" in record) || record.remote.at !== "open") return;
    const doubtful = ledger.doubtfulAt(Number.POSITIVE_INFINITY);
    await database.unclaimParts(id, record.remote.token, [...unknown, ...doubtful]);
    for (const partNumber of unknown) ledger.retract(partNumber);
    for (const partNumber of doubtful) ledger.giveBack(partNumber);
  }

  /** @throws {UploadError} `STATE_INVALID` if there is none */
  async handle(id: string): Promise<FileSystemFileHandle> {
    const source = await this.#options.database.bytes(this.#find(id).id);
    if (!source || source instanceof Blob)
      throw new UploadError("STATE_INVALID", "the file was not added by a handle");
    return source;
  }

  /** @throws {UploadError} `FILE_LOST`, `FILE_PERMISSION` */
  async reopen(id: string): Promise<void> {
    await this.#options.copies.reopen(this.#find(id));
  }

  /** @param id null for all that have not ended */
  async pause(id: string | null, reason: PauseReason = "user"): Promise<void> {
    await this.#applyTo(id, { type: "pause", reason });
  }

  /** @param id null for all that are paused */
  async resume(id: string | null): Promise<void> {
    await this.#applyTo(id, { type: "resume" });
  }

  async #applyTo(
    id: string | null,
    event: { readonly type: "pause"; readonly reason: PauseReason } | { readonly type: "resume" },
  ): Promise<void> {
    const { roster } = this.#options;
    await roster.applyAll(id === null ? roster.unfinished() : [this.#find(id)], () => event);
  }

  /** @param id null for all that have failed */
  async retry(id: string | null): Promise<void> {
    const { roster, supervisor } = this.#options;
    const asked = id === null ? roster.own() : [this.#find(id)];
    const failed = asked.filter(({ record }) => record.state === "failed");
    // One that goes on already may have been retried by a worker that died before it could answer.
    if (id !== null && failed.length === 0 && asked.some(({ record }) => isFinal(record)))
      throw new UploadError("STATE_INVALID", "it has not failed");
    await roster.applyAll(failed, () => ({ type: "retry" }));
    // Somebody believes that it will go now.
    supervisor.tryEverything();
  }

  async cancel(id: string): Promise<void> {
    const upload = this.#find(id);
    if (upload.record.state === "done") throw new UploadError("STATE_INVALID", "it is already done");
    await this.#options.roster.apply(upload, { type: "cancel" });
  }

  async remove(id: string | null): Promise<void> {
    const { roster } = this.#options;
    if (id === null) {
      const ended = roster.own().filter(({ record }) => !needsBytes(record));
      await roster.applyAll(ended, () => ({ type: "remove" }));
      return;
    }
    const upload = roster.visible(id);
    if (!upload) return;
    if (!isFinal(upload.record)) throw new UploadError("STATE_INVALID", "cancel it first");
    await roster.apply(upload, { type: "remove" });
  }

  /** The user may have signed in. */
  async authorized(usesAuth: boolean): Promise<void> {
    const { database, roster, supervisor } = this.#options;
    const waiting = roster
      .unfinished()
      .filter(({ record }) => record.state === "waiting" && record.reason === "auth");
    await roster.applyAll(waiting, () => ({ type: "wake" }));
    if ((await database.usesAuth()) !== usesAuth) await database.setUsesAuth(usesAuth);
    supervisor.tryEverything();
  }

  /** A page was opened, or shown again. */
  async visited(): Promise<void> {
    const { roster, supervisor, clock, keepEnded } = this.#options;
    supervisor.tryEverything();
    if (clock.elapsed() - this.#prunedAt < PRUNE_EVERY_MS) return;
    this.#prunedAt = clock.elapsed();
    // The page that is visiting need not wait for it.
    void roster.prune(keepEnded);
  }

  async takeBack(): Promise<void> {
    await this.#options.fetches.takeBack();
  }

  handOverCandidates(known: readonly string[]): Promise<readonly HandOverCandidate[]> {
    const { ahead, handedOver } = this.#options;
    ahead.check();
    return handedOver.candidates(known);
  }

  #find(id: string): LiveUpload {
    const upload = this.#options.roster.visible(id);
    if (!upload) throw new UploadError("UPLOAD_NOT_FOUND", id);
    return upload;
  }
}

function hasLostBytes({ record, bytes }: LiveUpload): boolean {
  if (record.state === "waiting" && record.reason === "file") return true;
  return record.durability === "memory" && bytes === undefined && needsBytes(record);
}
