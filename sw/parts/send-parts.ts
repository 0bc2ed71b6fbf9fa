import type { ChecksumKind } from "../../src/core/checksum.ts";
import { UploadError } from "../../src/core/errors.ts";
import type { RetryPolicy } from "../../src/core/options.ts";
import { partBytes } from "../../src/core/part-plan.ts";
import { type PartReceipt, StorageFault, type UploadStorage } from "../../src/core/storage.ts";
import type { TraceStep } from "../../src/core/trace.ts";
import type { UploadDatabase } from "../database/upload-database.ts";
import type { LiveUpload } from "../engine/live-upload.ts";
import type { Uploading, UploadRecord } from "../model/record.ts";
import { isWorthRetrying, retryDelayMs } from "../model/retry.ts";
import { now, random, sleep } from "../platform/clock.ts";
import { type ChecksumAlgorithm, hexOf } from "./checksums.ts";
import { lookUpParts } from "./list-parts.ts";
import type { PartPace } from "./pace.ts";
import { type Delivery, PartDelivery } from "./part-delivery.ts";
import type { Slot } from "./slots.ts";

export interface SendContext {
  readonly store: UploadDatabase;
  readonly storage: UploadStorage;
  readonly pace: PartPace<UploadRecord>;
  readonly retry: RetryPolicy;
  /** Milliseconds after which a part that does not move is tried again. */
  readonly stallTimeoutMs: number;
  /** Undefined if this worker does not have it. */
  readonly algorithmOf: (kind: ChecksumKind) => ChecksumAlgorithm | undefined;
  /** S3 confirmed these parts. */
  readonly onProgress: (run: LiveUpload, partNumbers: readonly number[]) => void;
  readonly trace: (step: TraceStep) => void;
}

/** How the sending ended, other than by an error. */
export type SendEnd =
  /** Every part, and each compared. */
  | { readonly type: "sent" }
  /** It was taken away; or what others have sent must be sent again. */
  | { readonly type: "unfinished" }
  /** Nothing can be done for it before `until`. */
  | { readonly type: "rest"; readonly until: number; readonly fault: StorageFault };

/** New signatures that S3 may refuse in a row before the part is denied. */
const MAX_REFUSALS = 2;
/** From this fault of the network on, with the app's server answering in between, it is S3 that can't be reached. */
const UNREACHABLE_AFTER = 3;

/**
 * Sends every part that S3 doesn't have, as many at once as there are places, looks up those in doubt, and compares what
 * others have sent.
 *
 * @throws {StorageFault} `unauthorized`, `gone`, `permanent`, or a fault of the app's server
 * @throws {UploadError} `FILE_LOST`, `FILE_CHANGED`, `CHECKSUM_UNAVAILABLE`
 */
export async function sendParts(
  run: LiveUpload,
  record: Uploading,
  bytes: Blob,
  context: SendContext,
): Promise<SendEnd> {
  const algorithm = context.algorithmOf(record.checksum);
  if (!algorithm) throw new UploadError("CHECKSUM_UNAVAILABLE", record.checksum);
  return new PartSender(run, record, bytes, algorithm, context).send();
}

class PartSender {
  readonly #run: LiveUpload;
  readonly #record: Uploading;
  readonly #algorithm: ChecksumAlgorithm;
  readonly #context: SendContext;
  readonly #delivery: PartDelivery;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #underWay = new Set<Promise<void>>();
  /** Signatures that S3 has refused in a row, by part. */
  readonly #refusals = new Map<number, number>();
  /** What S3 answered to a PUT, where its ETag is not the bytes' MD5. The look-up tells whether it is so in S3. */
  readonly #odd = new Map<number, PartReceipt>();
  #failure: { readonly error: unknown } | undefined;
  #isLookingUp = false;
  /** After a fault nothing new is sent until its retry is due, or a success shows that the way is open. */
  #restUntil = 0;
  #lastFault: StorageFault | undefined;

  constructor(
    run: LiveUpload,
    record: Uploading,
    bytes: Blob,
    algorithm: ChecksumAlgorithm,
    context: SendContext,
  ) {
    this.#run = run;
    this.#record = record;
    this.#algorithm = algorithm;
    this.#context = context;
    this.#signal = AbortSignal.any([run.signal, this.#stop.signal]);
    this.#delivery = new PartDelivery({
      ...{ record, bytes, algorithm, signal: this.#signal },
      ...{ storage: context.storage, stallTimeoutMs: context.stallTimeoutMs },
      claim: (partNumber) => context.store.claimParts(run.id, record.remote.token, [partNumber]),
    });
  }

  async send(): Promise<SendEnd> {
    const { ledger } = this.#run;
    this.#run.onConfirmed = () => {
      // What is still on its way has arrived by the other one.
      if (ledger.isComplete) this.#stop.abort();
    };
    while (!this.#failure && !this.#signal.aborted && !ledger.isComplete) {
      if (this.#startLookUp()) continue;
      if (!this.#isResting && ledger.hasPending) await this.#startPart();
      else if (this.#underWay.size > 0 || !this.#lastFault) await this.#somethingSettles();
      else break;
    }
    await Promise.all(this.#underWay);
    if (this.#failure) throw this.#failure.error;
    if (ledger.isComplete && (await this.#isAsSent())) return { type: "sent" };
    if (ledger.isComplete || this.#signal.aborted || !this.#lastFault) return { type: "unfinished" };
    const until = this.#isResting ? this.#restUntil : (ledger.nextDoubtAt ?? now());
    return { type: "rest", until, fault: this.#lastFault };
  }

  get #isResting(): boolean {
    return now() < this.#restUntil;
  }

  /** The parts in doubt whose time has come; all in one go, beside the sending. */
  #startLookUp(): boolean {
    if (this.#isLookingUp) return false;
    const due = this.#run.ledger.doubtfulAt(now());
    if (due.length === 0) return false;
    this.#isLookingUp = true;
    this.#watch(
      this.#lookUp(due).finally(() => {
        this.#isLookingUp = false;
      }),
    );
    return true;
  }

  async #startPart(): Promise<void> {
    const slot = await this.#context.pace.acquire(this.#record, this.#signal);
    if (!slot) return;
    const partNumber =
      this.#failure || this.#signal.aborted || this.#isResting ? undefined : this.#run.ledger.take();
    if (partNumber === undefined) slot.release();
    else this.#watch(this.#sendPart(partNumber, slot).finally(() => slot.release()));
  }

  #watch(task: Promise<void>): void {
    const settled = task
      .catch((error: unknown) => {
        this.#failure ??= { error };
        // No other part can succeed either. With the rest of the errors those on their way may as well arrive.
        if (error instanceof StorageFault && (error.kind === "gone" || error.kind === "permanent"))
          this.#stop.abort();
      })
      .finally(() => this.#underWay.delete(settled));
    this.#underWay.add(settled);
  }

  async #somethingSettles(): Promise<void> {
    const next = this.#isLookingUp ? undefined : this.#run.ledger.nextDoubtAt;
    if (next === undefined) {
      await Promise.race(this.#underWay);
      return;
    }
    const timer = new AbortController();
    const signal = AbortSignal.any([this.#signal, timer.signal]);
    await Promise.race([...this.#underWay, sleep(Math.max(next - now(), 0), signal)]);
    timer.abort();
  }

  async #sendPart(partNumber: number, slot: Slot): Promise<void> {
    const { ledger } = this.#run;
    const { pace } = this.#context;
    const startedAt = now();
    const speed = ledger.attemptsOf(partNumber) > 0 ? null : pace.partSpeed;
    try {
      const delivery = await this.#delivery.send(partNumber, speed, () => ledger.upcoming(63));
      const isOdd = delivery.type === "storedOddly";
      if (delivery.type === "stored" || (isOdd && this.#run.etagsAreOpaque)) {
        const bytes = partBytes(ledger.plan, partNumber);
        const endedAt = now();
        pace.arrived({ bytes, startedAt, endedAt, wasFull: slot.isFull });
        this.#trace({ type: "partSent", id: this.#run.id, partNumber, bytes, ms: endedAt - startedAt });
        await this.#isStored([delivery.receipt]);
      } else this.#afterTry(partNumber, delivery);
    } catch (error) {
      if (ledger.flyingParts.has(partNumber)) ledger.giveBack(partNumber);
      throw error;
    }
  }

  #afterTry(partNumber: number, delivery: Exclude<Delivery, { type: "stored" }>): void {
    const { ledger } = this.#run;
    switch (delivery.type) {
      case "unclaimed":
        ledger.giveBack(partNumber);
        // Another version of the worker has paused or canceled it: no other part is to be sent either.
        this.#stop.abort();
        break;
      case "brokenOff":
        ledger.doubt(partNumber, now());
        break;
      case "refused":
        this.#afterRefusal(partNumber, delivery.detail);
        break;
      case "fault":
        this.#afterFault(partNumber, delivery.fault);
        break;
      case "storedOddly":
        this.#afterOddReceipt(delivery.receipt);
        break;
      default:
        delivery satisfies never;
    }
  }

  #afterFault(partNumber: number, given: StorageFault): void {
    const { ledger } = this.#run;
    const { pace, retry } = this.#context;
    const attempts = ledger.attemptsOf(partNumber) + 1;
    // Between two tries the app's server was asked what S3 has, and has answered.
    const isUnreachable = given.code === "NETWORK" && attempts >= UNREACHABLE_AFTER && navigator.onLine;
    const fault = isUnreachable
      ? new StorageFault("network", "STORAGE_UNREACHABLE", { cause: given })
      : given;
    pace.failed(fault);
    const until = now() + retryDelayMs(attempts, random(), fault.retryAfterMs, retry);
    this.#doubt(partNumber, until, fault);
    if (!isWorthRetrying(fault, attempts, retry)) throw fault;
    this.#restAfter(fault, until);
  }

  #afterRefusal(partNumber: number, detail: string): void {
    const refusals = (this.#refusals.get(partNumber) ?? 0) + 1;
    this.#refusals.set(partNumber, refusals);
    const fault = new StorageFault("permanent", "FORBIDDEN", { detail });
    this.#doubt(partNumber, now(), fault);
    if (refusals > MAX_REFUSALS) throw fault;
  }

  #afterOddReceipt(receipt: PartReceipt): void {
    const { ledger } = this.#run;
    const { partNumber, etag } = receipt;
    this.#odd.set(partNumber, receipt);
    const fault = new StorageFault("transient", "BAD_DIGEST", { detail: `its ETag is ${etag}` });
    this.#doubt(partNumber, now(), fault);
    if (!isWorthRetrying(fault, ledger.attemptsOf(partNumber), this.#context.retry)) throw fault;
  }

  #doubt(partNumber: number, until: number, { code, detail = "" }: StorageFault): void {
    const { id, ledger } = this.#run;
    ledger.doubt(partNumber, until, { code, detail });
    const attempts = ledger.attemptsOf(partNumber);
    this.#run.faults += 1;
    this.#trace({ type: "partFailed", id, partNumber, attempts, code, detail });
  }

  #restAfter(fault: StorageFault, until: number): void {
    this.#restUntil = until;
    this.#lastFault = fault;
  }

  /** Asks S3 which of these parts it has. What it hasn't is pending again. */
  async #lookUp(partNumbers: readonly number[]): Promise<void> {
    const { id, ledger } = this.#run;
    const { store, storage, retry } = this.#context;
    const { token } = this.#record.remote;
    const missing = new Set(partNumbers);
    try {
      for await (const page of lookUpParts(storage, token, partNumbers)) {
        const found = page.filter((part) => ledger.matches(part));
        const receipts = found.flatMap(({ partNumber, etag }) => this.#receiptOf(partNumber, etag) ?? []);
        await this.#isStored(receipts);
        for (const { partNumber } of receipts) missing.delete(partNumber);
      }
      this.#trace({
        ...{ type: "lookedUp", id },
        ...{ asked: partNumbers.length, found: partNumbers.length - missing.size },
      });
      await store.unclaimParts(this.#run.id, token, [...missing]);
    } catch (error) {
      const attempts = this.#record.attempts + 1;
      if (!(error instanceof StorageFault) || !isWorthRetrying(error, attempts, retry)) throw error;
      // Others may still be on their way; the look-up is repeated with those that are in doubt by then.
      const until = now() + retryDelayMs(attempts, random(), error.retryAfterMs, retry);
      for (const partNumber of missing) ledger.doubt(partNumber, until);
      this.#restAfter(error, until);
      return;
    }
    for (const partNumber of missing) ledger.giveBack(partNumber);
  }

  /** What a part that S3 lists counts for; undefined if it is not the one that was sent. */
  #receiptOf(partNumber: number, etag: string): PartReceipt | undefined {
    const odd = this.#odd.get(partNumber);
    this.#odd.delete(partNumber);
    if (!odd) return { partNumber, etag, checksum: null };
    // S3 has checked the digest when it took the part, so an ETag that both answers agree on is one of SSE-KMS.
    if (etag === odd.etag) this.#run.etagsAreOpaque = true;
    else if (odd.checksum === null || etag !== hexOf(odd.checksum)) return undefined;
    return { ...odd, etag };
  }

  /**
   * Compares what S3 holds of the parts that nobody here has hashed: those that the browser's own transfers have sent, or a
   * worker that died before the answer. What differs is pending again.
   */
  async #isAsSent(): Promise<boolean> {
    const { id, ledger, signal } = this.#run;
    const { kind } = this.#algorithm;
    const unverified = kind === "none" ? [] : ledger.unverified();
    if (unverified.length === 0) return true;
    const held = await this.#checksumsHeld(unverified);
    for (const receipt of unverified) {
      const { partNumber } = receipt;
      if (signal.aborted) return false;
      const checksum = (await this.#delivery.digestOf(partNumber)) ?? "";
      if (held.get(partNumber) === (kind === "md5" ? hexOf(checksum) : checksum)) {
        await this.#isStored([{ ...receipt, checksum }]);
        continue;
      }
      this.#trace({ type: "partDamaged", id, partNumber });
      await this.#context.store.unclaimParts(id, this.#record.remote.token, [partNumber]);
      ledger.retract(partNumber);
    }
    return ledger.isComplete;
  }

  /** What S3 says of these parts' bytes: the ETag, or the checksum that it keeps. */
  async #checksumsHeld(receipts: readonly PartReceipt[]): Promise<ReadonlyMap<number, string>> {
    if (this.#algorithm.kind === "md5")
      return new Map(receipts.map(({ partNumber, etag }) => [partNumber, etag]));
    const held = new Map<number, string>();
    const { storage } = this.#context;
    const partNumbers = receipts.map(({ partNumber }) => partNumber);
    for await (const page of lookUpParts(storage, this.#record.remote.token, partNumbers))
      for (const { partNumber, checksum } of page) if (checksum) held.set(partNumber, checksum);
    return held;
  }

  async #isStored(parts: readonly PartReceipt[]): Promise<void> {
    if (parts.length === 0) return;
    // First here, so that a halt while the receipt is written leaves nothing in doubt that isn't.
    for (const receipt of parts) {
      this.#run.partDone(receipt);
      this.#delivery.arrived(receipt.partNumber);
      this.#refusals.delete(receipt.partNumber);
    }
    this.#restUntil = 0;
    await this.#context.store.partsDone(this.#run.id, this.#record.remote.token, parts);
    this.#context.onProgress(
      this.#run,
      parts.map(({ partNumber }) => partNumber),
    );
  }

  #trace(step: TraceStep): void {
    this.#context.trace(step);
  }
}
