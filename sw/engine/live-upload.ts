import type { Lane, WireSnapshot } from "../../src/core/snapshot.ts";
import type { PartReceipt } from "../../src/core/storage.ts";
import { PartLedger } from "../model/part-ledger.ts";
import { type Progress, sampleProgress, startProgress } from "../model/progress.ts";
import type { PartRecord, UploadRecord } from "../model/record.ts";
import { snapshotOf } from "../model/snapshot.ts";
import { now } from "../platform/clock.ts";

/** One upload in this life of the worker: its record, its parts, its bytes, and who is working on it. */
export class LiveUpload {
  record: UploadRecord;
  ledger: PartLedger;
  /** What was given here, or read from the store; undefined until needed. */
  bytes: Blob | undefined;
  /** Settles when whoever drives it has let go; undefined while nobody does. */
  driving: Promise<void> | undefined;
  /** Times that S3 took back what it had confirmed: the open upload, or parts of it. */
  setbacks = 0;
  /** Faults of parts in this worker's life. */
  faults = 0;
  /** S3's ETags are not MD5s (SSE-KMS), as its answers and its list agree. */
  etagsAreOpaque = false;
  lane: Lane = "worker";
  /** Called when parts were confirmed by another way than its driver's own sending. */
  onConfirmed = () => {};
  /** Faults in a row in aborting what an ended upload has left open. */
  settleAttempts = 0;
  #halt = new AbortController();
  #progress: Progress;

  constructor(record: UploadRecord, parts: readonly PartRecord[] = []) {
    this.record = record;
    this.ledger = new PartLedger(record.plan, parts);
    this.#progress = startProgress(this.ledger.doneBytes, now());
  }

  get bytesPerSecond(): number | null {
    return this.#progress.bytesPerSecond;
  }

  get id(): string {
    return this.record.id;
  }

  /** Aborts once the upload is paused, canceled or otherwise taken from its driver. */
  get signal(): AbortSignal {
    return this.#halt.signal;
  }

  halt(): void {
    this.#halt.abort();
  }

  /** A new driver takes over, or the parts' rows were changed as a whole. */
  restart(parts?: readonly PartRecord[]): void {
    if (this.#halt.signal.aborted) this.#halt = new AbortController();
    if (parts) this.ledger = new PartLedger(this.record.plan, parts);
    this.#progress = startProgress(this.ledger.doneBytes, now());
  }

  partDone(receipt: PartReceipt): void {
    this.ledger.done(receipt);
    this.#progress = sampleProgress(this.#progress, this.ledger.doneBytes, now());
  }

  snapshot(): WireSnapshot {
    return snapshotOf(this, this.#progress, now());
  }
}
