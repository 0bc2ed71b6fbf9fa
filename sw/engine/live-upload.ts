import { Emitter } from "../../src/core/emitter.ts";
import type { Lane, WireSnapshot } from "../../src/core/snapshot.ts";
import type { PartReceipt, StorageFault } from "../../src/core/storage.ts";
import type { FileHolder } from "../files/index.ts";
import {
  PartLedger,
  type PartRecord,
  type Progress,
  sampleProgress,
  snapshotOf,
  startProgress,
  type UploadRecord,
} from "../model/index.ts";
import type { SendingUpload } from "../parts/index.ts";
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
  /** Faults in a row in aborting what an ended upload has left open. */
  settleAttempts = 0;
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
    this.#progress = startProgress(this.ledger.doneBytes, clock.now());
  }

  get record(): UploadRecord {
    return this.#record;
  }

  set record(record: UploadRecord) {
    this.#record = record;
    if (record.state !== "waiting" || record.nextAttemptAt === null) return;
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

  /** The reason to wait may have passed, so that the upload is tried at once. */
  makeDue(): void {
    this.#dueAt = this.#clock.elapsed();
  }

  get bytesPerSecond(): number | null {
    return this.#progress.bytesPerSecond;
  }

  get id(): string {
    return this.#record.id;
  }

  /** The app wants the browser to carry it, and it does: the worker only records what the browser has done. */
  get isLeftToBrowser(): boolean {
    const { laneOption, state } = this.#record;
    return laneOption === "browser" && state === "uploading" && this.lane === "browser";
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
    if (parts) this.ledger = new PartLedger(this.#record.plan, parts);
    this.#progress = startProgress(this.ledger.doneBytes, this.#clock.now());
  }

  partDone(receipt: PartReceipt): void {
    this.ledger.done(receipt);
    this.#progress = sampleProgress(this.#progress, this.ledger.doneBytes, this.#clock.now());
  }

  partFailed(): void {
    this.faults += 1;
  }

  onConfirmedElsewhere(callback: () => void): () => void {
    return this.#events.on("confirmedElsewhere", callback);
  }

  /** Tells whoever sends the parts that some were confirmed by another way. */
  confirmedElsewhere(): void {
    this.#events.emit("confirmedElsewhere", undefined);
  }

  snapshot(): WireSnapshot {
    return snapshotOf(this, this.#progress, this.#clock.now());
  }
}
