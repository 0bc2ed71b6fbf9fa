import { Emitter } from "../../src/core/emitter.ts";
import { partBytes } from "../../src/core/part-plan.ts";
import type { Lane, WireSnapshot } from "../../src/core/snapshot.ts";
import type { PartReceipt, StorageFault } from "../../src/core/storage.ts";
import type { FileHolder } from "../files/index.ts";
import {
  addSentBytes,
  advance,
  PartLedger,
  type PartRecord,
  type Progress,
  snapshotOf,
  speedAt,
  startProgress,
  type UploadRecord,
} from "../model/index.ts";
import type { Presigned, SendingUpload } from "../parts/index.ts";
import type { Clock } from "../platform/index.ts";

type LiveClock = Pick<Clock, "now" | "elapsed">;

/** One upload in this life of the worker: its record, its parts, its bytes, and who is working on it. */
export class LiveUpload implements SendingUpload, FileHolder {
  ledger: PartLedger;
  bytes: Blob | undefined;
  /** Settles when whoever drives the upload has let go of it; undefined while nobody does. */
  driving: Promise<void> | undefined;
  /** When it might be tried again if the way were open, by `clock.elapsed()`. */
  ownDueAt = Number.POSITIVE_INFINITY;
  /** An event of the supervisor's is being written: nothing else is to be decided on the record as it is. */
  isBeingWritten = false;
  /** Times that S3 took back what it had confirmed: the open upload, or parts of it. */
  setbacks = 0;
  /** Tries to send parts that have failed in this worker's life. */
  faults = 0;
  etagsAreOpaque = false;
  lastFault: StorageFault | undefined;
  lane: Lane = "worker";
  /** The browser sends what is left: parts that are on their way are sent to their end, and no other is begun. */
  leavesRest = false;
  /** Faults in a row in aborting what an ended upload has left open. */
  settleAttempts = 0;
  #presigned: (Presigned & { readonly token: string }) | undefined;
  readonly #clock: LiveClock;
  readonly #events = new Emitter<{ confirmedElsewhere: undefined }>();
  #record: UploadRecord;
  #dueAt = 0;
  #halt = new AbortController();
  #progress: Progress;

  constructor(record: UploadRecord, clock: LiveClock, parts: readonly PartRecord[] = []) {
    this.#clock = clock;
    this.#record = record;
    this.record = record;
    this.ledger = new PartLedger(record.plan, parts);
    this.#progress = startProgress(this.ledger.doneBytes, clock.elapsed());
  }

  get record(): UploadRecord {
    return this.#record;
  }

  set record(record: UploadRecord) {
    const before = this.#record;
    this.#record = record;
    if (record.state !== "waiting" || record.nextAttemptAt === null) return;
    // The same wait may have been shortened.
    if (before !== record && before.state === "waiting" && before.nextAttemptAt === record.nextAttemptAt)
      return;
    // The wait is measured by a clock that nobody sets. The device's clock may have been set since the wait
    // began, which must not make it longer.
    const planned = Math.max(0, record.nextAttemptAt - record.updatedAt);
    const left = record.nextAttemptAt - this.#clock.now();
    this.#dueAt = this.#clock.elapsed() + Math.min(Math.max(0, left), planned);
  }

  /** When its wait is over, by `clock.elapsed()`; Infinity where no clock ends it. */
  get dueAt(): number {
    if (this.#record.state !== "waiting" || this.#record.nextAttemptAt === null)
      return Number.POSITIVE_INFINITY;
    return this.#dueAt;
  }

  /** The way is open again for all: what is left of the wait is the upload's own. */
  shortenWait(): void {
    this.#dueAt = Math.min(this.#dueAt, this.ownDueAt);
  }

  /** Ends the wait: its cause may have gone. */
  makeDue(): void {
    this.#dueAt = this.#clock.elapsed();
  }

  get bytesPerSecond(): number | null {
    return speedAt(this.#progress, this.#clock.elapsed());
  }

  get id(): string {
    return this.#record.id;
  }

  /** The app wants the browser to carry it, and it does: the worker only records what the browser has done. */
  get isLeftToBrowser(): boolean {
    const { laneOption, state } = this.#record;
    return laneOption === "browser" && state === "uploading" && this.lane === "browser";
  }

  /** It has begun, so that its own token may be enough for the rest with nobody signed in. */
  get needsNoUser(): boolean {
    const record = this.#record;
    return "remote" in record && record.remote.at === "open";
  }

  get signal(): AbortSignal {
    return this.#halt.signal;
  }

  /** Takes the upload from whoever drives it. */
  halt(): void {
    this.#halt.abort();
  }

  /** Makes it ready for a new driver, or for parts whose rows were changed as a whole. */
  restart(parts?: readonly PartRecord[]): void {
    if (this.#halt.signal.aborted) this.#halt = new AbortController();
    this.leavesRest = false;
    if (parts) this.ledger = new PartLedger(this.#record.plan, parts);
    const shownBytes = this.#beginsAnew ? this.ledger.doneBytes : this.#progress.shownBytes;
    this.#progress = startProgress(shownBytes, this.#clock.elapsed());
  }

  /** S3 has dropped the open upload, or never had one: there is no part that could still count. */
  get #beginsAnew(): boolean {
    return "remote" in this.#record && this.#record.remote.at !== "open";
  }

  /** S3 has opened the upload under this token. */
  begun(token: string, presigned: Presigned): void {
    this.#presigned = { token, ...presigned };
  }

  takePresigned(token: string): Presigned | undefined {
    const presigned = this.#presigned;
    this.#presigned = undefined;
    return presigned?.token === token ? presigned : undefined;
  }

  partSent(receipt: PartReceipt): void {
    const before = this.ledger.doneBytes;
    this.ledger.done(receipt);
    const bytes = this.ledger.doneBytes - before;
    this.#progress = addSentBytes(this.#progress, bytes, this.#clock.elapsed());
  }

  partFound(receipt: PartReceipt): void {
    this.ledger.done(receipt);
  }

  partFailed(): void {
    this.faults += 1;
  }

  onConfirmedElsewhere(callback: () => void): () => void {
    return this.#events.on("confirmedElsewhere", callback);
  }

  /** Tells whoever sends the parts that some were confirmed by another way, or may be looked up now. */
  confirmedElsewhere(): void {
    this.#events.emit("confirmedElsewhere", undefined);
  }

  /** What pages are to be told of it now. What was shown as on its way counts from then on: no bar goes back. */
  report(): WireSnapshot {
    const now = this.#clock.elapsed();
    let flyingBytes = 0;
    for (const partNumber of this.ledger.flyingParts) flyingBytes += partBytes(this.#record.plan, partNumber);
    this.#progress = advance(this.#progress, this.ledger.doneBytes, flyingBytes, now);
    return snapshotOf(this, this.#progress, now);
  }
}
