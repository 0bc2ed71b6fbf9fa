import type { ChecksumKind } from "../../src/core/checksum.ts";
import { UploadError, type UploadErrorCode } from "../../src/core/errors.ts";
import type { RetryPolicy } from "../../src/core/options.ts";
import { partBytes } from "../../src/core/part-plan.ts";
import { type PartReceipt, StorageFault, type UploadStorage } from "../../src/core/storage.ts";
import type { TraceStep } from "../../src/core/trace.ts";
import type { UploadDatabase } from "../database/index.ts";
import { type Breaker, isPassing, retryDelayMs, type Uploading, type UploadRecord } from "../model/index.ts";
import { type Platform, sleep } from "../platform/index.ts";
import { type ChecksumAlgorithm, hexOf } from "./checksums.ts";
import { listParts } from "./list-parts.ts";
import type { PartPace } from "./pace.ts";
import { type Delivery, PartDelivery } from "./part-delivery.ts";
import type { SendingUpload } from "./sending-upload.ts";
import type { Slot } from "./slots.ts";
import { verifyParts } from "./verify-parts.ts";

export interface SendContext {
  readonly platform: Pick<Platform, "clock" | "fetch" | "random" | "network">;
  readonly database: UploadDatabase;
  readonly storage: UploadStorage;
  readonly pace: PartPace<UploadRecord>;
  /** S3, as all uploads find it. */
  readonly s3: Breaker;
  readonly retry: RetryPolicy;
  /** Milliseconds after which a part that does not move is tried again. */
  readonly stallTimeoutMs: number;
  /** Undefined if this worker does not have the algorithm. */
  readonly algorithmOf: (kind: ChecksumKind) => ChecksumAlgorithm | undefined;
  /** S3 is there again. */
  readonly onOpened: () => void;
  /** S3 confirmed these parts. */
  readonly onProgress: (id: string, partNumbers: readonly number[]) => void;
  readonly trace: (step: TraceStep) => void;
}

/** Faults that say nothing about S3 as a whole. */
const OF_ONE_PART: ReadonlySet<UploadErrorCode> = new Set(["BAD_DIGEST", "UPLOAD_GONE", "OBJECT_EXISTS"]);

/** How the sending ended, other than by an error. */
export type SendEnd =
  /** S3 has every part, and each was compared. The receipts that are not written yet may share a transaction with that. */
  | { readonly type: "sent"; readonly receipts: readonly PartReceipt[] }
  /** The upload was taken away; or what others have sent must be sent again. */
  | { readonly type: "unfinished" }
  /** Nothing can be done for the upload in the next `ownMs` milliseconds, or while S3 can't be used. */
  | { readonly type: "rest"; readonly ownMs: number; readonly fault: StorageFault };

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
  upload: SendingUpload,
  record: Uploading,
  bytes: Blob,
  context: SendContext,
): Promise<SendEnd> {
  const algorithm = context.algorithmOf(record.checksum);
  if (!algorithm) throw new UploadError("CHECKSUM_UNAVAILABLE", record.checksum);
  return new PartSender(upload, record, bytes, algorithm, context).send();
}

class PartSender {
  readonly #upload: SendingUpload;
  readonly #record: Uploading;
  readonly #algorithm: ChecksumAlgorithm;
  readonly #context: SendContext;
  readonly #delivery: PartDelivery;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #underWay = new Set<Promise<void>>();
  /** Signatures that S3 has refused in a row, by part. */
  readonly #refusals = new Map<number, number>();
  /** Receipts of PUTs whose ETag is not the bytes' MD5. The look-up shows whether S3 lists the same ETag. */
  readonly #odd = new Map<number, PartReceipt>();
  /** The receipt of the part that came last. */
  #unwritten: readonly PartReceipt[] = [];
  #failure: { readonly error: unknown } | undefined;
  #isLookingUp = false;
  /** Ends the wait for the next part in doubt. */
  #stopWaiting = () => {};

  constructor(
    upload: SendingUpload,
    record: Uploading,
    bytes: Blob,
    algorithm: ChecksumAlgorithm,
    context: SendContext,
  ) {
    this.#upload = upload;
    this.#record = record;
    this.#algorithm = algorithm;
    this.#context = context;
    this.#signal = AbortSignal.any([upload.signal, this.#stop.signal]);
    this.#delivery = new PartDelivery({
      record,
      bytes,
      algorithm,
      signal: this.#signal,
      storage: context.storage,
      presigned: upload.takePresigned(record.remote.token),
      transport: context.platform,
      stallTimeoutMs: context.stallTimeoutMs,
      claim: (partNumber) => context.database.claimParts(upload.id, record.remote.token, [partNumber]),
    });
  }

  async send(): Promise<SendEnd> {
    const { ledger } = this.#upload;
    const undo = this.#upload.onConfirmedElsewhere(() => {
      // The parts that are still being sent have arrived by the other way.
      if (ledger.isComplete) this.#stop.abort();
      this.#stopWaiting();
    });
    try {
      while (!this.#failure && !this.#signal.aborted && !ledger.isComplete) {
        if (this.#startLookUp()) continue;
        if (!this.#isResting && !this.#upload.leavesRest && ledger.hasPending) await this.#startPart();
        else if (this.#underWay.size > 0 || (ledger.awaitsOthers && !this.#upload.leavesRest))
          await this.#somethingSettles();
        else break;
      }
      await Promise.all(this.#underWay);
    } finally {
      undo();
    }
    if (!this.#failure && ledger.isComplete && this.#unverified.length === 0)
      return { type: "sent", receipts: this.#unwritten };
    await this.#write(this.#unwritten);
    if (this.#failure) throw this.#failure.error;
    if (ledger.isComplete && (await this.#verify())) return { type: "sent", receipts: [] };
    if (ledger.isComplete || this.#signal.aborted || this.#upload.leavesRest) return { type: "unfinished" };
    // Another upload may have found out that S3 can't be used.
    const fault = this.#upload.lastFault ?? this.#context.pace.lastFault;
    if (!fault) return { type: "unfinished" };
    const ownMs = ledger.hasPending ? 0 : Math.max(0, (ledger.nextDoubtAt ?? this.#now()) - this.#now());
    return { type: "rest", ownMs, fault };
  }

  /** By the clock that nobody sets, as all times in the ledger are. */
  #now(): number {
    return this.#context.platform.clock.elapsed();
  }

  /** After a fault nothing new is sent, by no upload, until its retry is due or a success shows that the way is open. */
  get #isResting(): boolean {
    return !this.#context.s3.isPassable(this.#now());
  }

  /** Starts to look up the parts in doubt whose time has come; all in one go, beside the sending. */
  #startLookUp(): boolean {
    if (this.#isLookingUp) return false;
    const due = this.#upload.ledger.doubtfulAt(this.#now());
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
      this.#failure || this.#signal.aborted || this.#isResting || this.#upload.leavesRest
        ? undefined
        : this.#upload.ledger.startNext();
    if (partNumber === undefined) slot.release();
    else {
      this.#context.s3.enter(this.#now());
      this.#watch(this.#sendPart(partNumber, slot).finally(() => slot.release()));
    }
  }

  #watch(task: Promise<void>): void {
    const settled = task
      .catch((error: unknown) => {
        this.#failure ??= { error };
        // After these errors no other part can succeed either. After the rest, parts on their way may as well arrive.
        if (error instanceof StorageFault && (error.kind === "gone" || error.kind === "permanent"))
          this.#stop.abort();
      })
      .finally(() => this.#underWay.delete(settled));
    this.#underWay.add(settled);
  }

  async #somethingSettles(): Promise<void> {
    const next = this.#isLookingUp ? undefined : this.#upload.ledger.nextDoubtAt;
    if (next === undefined) {
      await Promise.race(this.#underWay);
      return;
    }
    const timer = new AbortController();
    this.#stopWaiting = () => timer.abort();
    const signal = AbortSignal.any([this.#signal, timer.signal]);
    const wait = sleep(this.#context.platform.clock, Math.max(next - this.#now(), 0), signal);
    await Promise.race([...this.#underWay, wait]);
    timer.abort();
  }

  async #sendPart(partNumber: number, slot: Slot): Promise<void> {
    const { id, ledger } = this.#upload;
    const { pace, platform } = this.#context;
    const startedAt = platform.clock.elapsed();
    const speed = ledger.attemptsOf(partNumber) > 0 ? null : pace.partSpeed;
    try {
      const delivery = await this.#delivery.send(partNumber, speed, () => ledger.upcoming(63));
      const isOdd = delivery.type === "storedOddly";
      if (delivery.type === "stored" || (isOdd && this.#upload.etagsAreOpaque)) {
        const bytes = partBytes(ledger.plan, partNumber);
        const endedAt = platform.clock.elapsed();
        if (this.#context.s3.succeeded()) this.#context.onOpened();
        pace.arrived({ bytes, startedAt, endedAt, wasFull: slot.isFull });
        // The next part need not wait for what is written of this one.
        slot.release();
        this.#context.trace({ type: "partSent", id, partNumber, bytes, ms: endedAt - startedAt });
        const receipts = [delivery.receipt];
        this.#note(receipts, (receipt) => this.#upload.partSent(receipt));
        if (ledger.isComplete) this.#unwritten = receipts;
        else await this.#write(receipts);
      } else this.#afterTry(partNumber, delivery, startedAt);
    } catch (error) {
      this.#context.s3.leave(startedAt);
      if (ledger.flyingParts.has(partNumber)) ledger.giveBack(partNumber);
      throw error;
    }
  }

  #afterTry(partNumber: number, delivery: Exclude<Delivery, { type: "stored" }>, startedAt: number): void {
    const { ledger } = this.#upload;
    // Only a fault says something about S3 itself.
    if (delivery.type !== "fault") this.#context.s3.leave(startedAt);
    switch (delivery.type) {
      case "unclaimed":
        ledger.giveBack(partNumber);
        // Another version of the worker has paused or canceled the upload: no other part is to be sent either.
        this.#stop.abort();
        break;
      case "brokenOff":
        ledger.doubt(partNumber, this.#now());
        break;
      case "refused":
        this.#afterRefusal(partNumber, delivery.detail);
        break;
      case "fault":
        this.#afterFault(partNumber, delivery, startedAt);
        break;
      case "storedOddly":
        this.#afterOddReceipt(delivery.receipt);
        break;
      default:
        delivery satisfies never;
    }
  }

  #afterFault(
    partNumber: number,
    { fault: given, mayBeStored }: Extract<Delivery, { type: "fault" }>,
    startedAt: number,
  ): void {
    const { ledger } = this.#upload;
    const { pace, platform, retry, s3 } = this.#context;
    const attempts = ledger.attemptsOf(partNumber) + 1;
    // A look-up between the tries shows that the app's server answers, and so that the network is there.
    const isUnreachable =
      given.code === "NETWORK" && attempts >= UNREACHABLE_AFTER && platform.network.isOnline;
    const fault = isUnreachable
      ? new StorageFault("network", "STORAGE_UNREACHABLE", { cause: given })
      : given;
    pace.failed(fault);
    // At the second refusal, the look-up has shown that the object there is not this upload's.
    const isTaken = fault.code === "OBJECT_EXISTS" && attempts > 1;
    if (!isPassing(fault) || isTaken) {
      s3.leave(startedAt);
      this.#doubt(partNumber, this.#now(), fault);
      throw isTaken ? new StorageFault("permanent", fault.code, { cause: fault }) : fault;
    }
    const now = platform.clock.elapsed();
    // These are this part's own troubles, and no other's.
    if (OF_ONE_PART.has(fault.code)) s3.leave(startedAt);
    else s3.failed(now, startedAt, platform.random(), fault);
    const ownMs = retryDelayMs(attempts, platform.random(), fault, retry);
    const waitMs = OF_ONE_PART.has(fault.code) ? ownMs : Math.min(ownMs, s3.waitMs(now));
    this.#doubt(partNumber, this.#now() + waitMs, fault);
    // S3 does not have a part that it refused, so there is nothing to look up.
    if (!mayBeStored) ledger.giveBack(partNumber);
    this.#upload.lastFault = fault;
  }

  #afterRefusal(partNumber: number, detail: string): void {
    const refusals = (this.#refusals.get(partNumber) ?? 0) + 1;
    this.#refusals.set(partNumber, refusals);
    const fault = new StorageFault("permanent", "FORBIDDEN", { detail });
    this.#doubt(partNumber, this.#now(), fault);
    // Nothing of it was stored, but by the look-up the app's server speaks to S3, and learns how S3's clock is set.
    if (refusals > MAX_REFUSALS) throw fault;
  }

  #afterOddReceipt(receipt: PartReceipt): void {
    const { ledger } = this.#upload;
    const { platform, retry } = this.#context;
    const { partNumber, etag } = receipt;
    this.#odd.set(partNumber, receipt);
    const fault = new StorageFault("transient", "BAD_DIGEST", { detail: `its ETag is ${etag}` });
    const attempts = ledger.attemptsOf(partNumber);
    // The first look-up needs no wait; a part that stays odd must not be sent in a loop.
    const waitMs = attempts === 0 ? 0 : retryDelayMs(attempts, platform.random(), fault, retry);
    this.#doubt(partNumber, this.#now() + waitMs, fault);
    this.#upload.lastFault = fault;
  }

  #doubt(partNumber: number, until: number, { code, detail = "" }: StorageFault): void {
    const { id, ledger } = this.#upload;
    ledger.doubt(partNumber, until, { code, detail });
    const attempts = ledger.attemptsOf(partNumber);
    this.#upload.partFailed();
    this.#context.trace({ type: "partFailed", id, partNumber, attempts, code, detail });
  }

  /** Asks S3 which of these parts it has. Parts that it doesn't have are pending again. */
  async #lookUp(partNumbers: readonly number[]): Promise<void> {
    const { id, ledger } = this.#upload;
    const { database, platform, storage, retry, trace } = this.#context;
    const { token } = this.#record.remote;
    const missing = new Map(partNumbers.map((partNumber) => [partNumber, ledger.doubtOf(partNumber)]));
    // A page may hand a part over while S3 answers, which then says nothing of what the browser stores of it.
    const stillMissing = () =>
      [...missing].flatMap(([partNumber, doubt]) => (doubt === ledger.doubtOf(partNumber) ? partNumber : []));
    try {
      for await (const page of listParts(storage, token, partNumbers)) {
        const found = page.filter((part) => ledger.matches(part));
        const receipts = found.flatMap(({ partNumber, etag }) => this.#receiptOf(partNumber, etag) ?? []);
        await this.#recordFound(receipts);
        for (const { partNumber } of receipts) missing.delete(partNumber);
      }
      trace({ type: "lookedUp", id, asked: partNumbers.length, found: partNumbers.length - missing.size });
      await database.unclaimParts(id, token, stillMissing());
    } catch (error) {
      if (!(error instanceof StorageFault) || !isPassing(error)) throw error;
      // Parts on their way may as well arrive; the look-up is repeated with those that are in doubt by then.
      const waitMs = retryDelayMs(this.#record.attempts + 1, platform.random(), error, retry);
      for (const partNumber of stillMissing()) ledger.doubt(partNumber, this.#now() + waitMs);
      this.#upload.lastFault = error;
      return;
    }
    for (const partNumber of stillMissing()) ledger.giveBack(partNumber);
  }

  /** The receipt of a part that S3 lists; undefined if it is not the part that was sent. */
  #receiptOf(partNumber: number, etag: string): PartReceipt | undefined {
    const odd = this.#odd.get(partNumber);
    this.#odd.delete(partNumber);
    if (!odd) return { partNumber, etag, checksum: null };
    // S3 has checked the digest when it took the part, so an ETag that both answers agree on is one of SSE-KMS.
    if (etag === odd.etag) this.#upload.etagsAreOpaque = true;
    else if (odd.checksum === null || etag !== hexOf(odd.checksum)) return undefined;
    return { ...odd, etag };
  }

  /** Parts that nobody here has hashed. */
  get #unverified(): readonly PartReceipt[] {
    return this.#algorithm.kind === "none" ? [] : this.#upload.ledger.unverified();
  }

  /** Compares parts that nobody here has hashed. False if some must be sent again. */
  async #verify(): Promise<boolean> {
    const { id, ledger, signal } = this.#upload;
    const { kind } = this.#algorithm;
    const { token } = this.#record.remote;
    await verifyParts(this.#unverified, {
      kind,
      token,
      signal,
      storage: this.#context.storage,
      digestOf: (partNumber) => this.#delivery.digestOf(partNumber),
      onEqual: (receipt) => this.#recordFound([receipt]),
      onDifferent: async (partNumber) => {
        this.#context.trace({ type: "partDamaged", id, partNumber });
        await this.#context.database.unclaimParts(id, token, [partNumber]);
        ledger.retract(partNumber);
      },
    });
    return ledger.isComplete && !signal.aborted;
  }

  #recordFound(receipts: readonly PartReceipt[]): Promise<void> {
    this.#note(receipts, (receipt) => this.#upload.partFound(receipt));
    return this.#write(receipts);
  }

  /** Before the receipts are written, so that a halt meanwhile leaves no confirmed part in doubt. */
  #note(receipts: readonly PartReceipt[], note: (receipt: PartReceipt) => void): void {
    for (const receipt of receipts) {
      note(receipt);
      this.#delivery.arrived(receipt.partNumber);
      this.#refusals.delete(receipt.partNumber);
    }
    const partNumbers = receipts.map(({ partNumber }) => partNumber);
    if (partNumbers.length > 0) this.#context.onProgress(this.#upload.id, partNumbers);
  }

  async #write(receipts: readonly PartReceipt[]): Promise<void> {
    if (receipts.length > 0)
      await this.#context.database.partsDone(this.#upload.id, this.#record.remote.token, receipts);
  }
}
