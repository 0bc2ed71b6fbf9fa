import { UploadError } from "../src/core/errors.ts";
import { classifyPut } from "../src/core/outcome.ts";
import { partRange } from "../src/core/plan-parts.ts";
import { isWorthRetrying, putTimeoutMs, retryDelayMs } from "../src/core/retry.ts";
import { type PartReceipt, StorageFault, type UploadStorage } from "../src/core/storage.ts";
import type { Uploading, UploadRecord } from "../src/core/upload.ts";
import { now, random, sleep } from "./clock.ts";
import type { PartSlots } from "./part-slots.ts";
import { Signatures } from "./signatures.ts";
import { putPart } from "./transport.ts";
import type { UploadRun } from "./upload-run.ts";
import type { UploadStore } from "./upload-store.ts";

export interface SendContext {
  readonly store: UploadStore;
  readonly storage: UploadStorage;
  readonly slots: PartSlots<UploadRecord>;
  /** S3 confirmed these parts. */
  readonly onProgress: (run: UploadRun, partNumbers: readonly number[]) => void;
}

/** How the sending ended, other than by an error. `rest`: nothing can be done for it before `until`. */
export type SendEnd =
  | { readonly type: "sent" }
  | { readonly type: "halted" }
  | { readonly type: "rest"; readonly until: number; readonly fault: StorageFault };

/**
 * Sends every part that S3 doesn't have, as many at once as there are slots, and looks up those in doubt.
 *
 * @throws {StorageFault} `unauthorized`, `gone`, `hopeless`, or a fault of the app's server
 * @throws {UploadError} `FILE_LOST`
 */
export async function sendParts(
  run: UploadRun,
  record: Uploading,
  bytes: Blob,
  context: SendContext,
): Promise<SendEnd> {
  return new PartSender(run, record, bytes, context).send();
}

class PartSender {
  readonly #run: UploadRun;
  readonly #record: Uploading;
  readonly #bytes: Blob;
  readonly #context: SendContext;
  readonly #signatures: Signatures;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #underWay = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;
  #isLookingUp = false;
  /** After a fault nothing new is sent until its retry is due, or a success shows that the way is open. */
  #restUntil = 0;
  #lastFault: StorageFault | undefined;

  constructor(run: UploadRun, record: Uploading, bytes: Blob, context: SendContext) {
    this.#run = run;
    this.#record = record;
    this.#bytes = bytes;
    this.#context = context;
    this.#signatures = new Signatures(context.storage, record.remote.token);
    this.#signal = AbortSignal.any([run.signal, this.#stop.signal]);
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
      else if (this.#underWay.size > 0) await this.#somethingSettles();
      else break;
    }
    await Promise.all(this.#underWay);
    if (this.#failure) throw this.#failure.error;
    if (ledger.isComplete) return { type: "sent" };
    if (this.#signal.aborted || !this.#lastFault) return { type: "halted" };
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
    const release = await this.#context.slots.acquire(this.#record, this.#signal);
    if (!release) return;
    const partNumber =
      this.#failure || this.#signal.aborted || this.#isResting ? undefined : this.#run.ledger.take();
    if (partNumber === undefined) release();
    else this.#watch(this.#sendPart(partNumber).finally(release));
  }

  #watch(task: Promise<void>): void {
    const settled = task
      .catch((error: unknown) => {
        this.#failure ??= { error };
        // No other part can succeed either. With the rest of the errors those on their way may as well arrive.
        if (error instanceof StorageFault && (error.kind === "gone" || error.kind === "hopeless"))
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
    await Promise.race([...this.#underWay, sleep(Math.max(next - now(), 0), timer.signal)]);
    timer.abort();
  }

  async #sendPart(partNumber: number): Promise<void> {
    const { ledger } = this.#run;
    const { store } = this.#context;
    const { token } = this.#record.remote;
    try {
      const signed = await this.#signatures.get(partNumber, () => ledger.upcoming(63));
      if (this.#signal.aborted || !(await store.claimParts(this.#run.id, token, [partNumber])))
        return ledger.giveBack(partNumber);

      const { start, end } = partRange(this.#record.plan, partNumber);
      // Untyped: with a type the browser sends a Content-Type that was not signed, which AWS and Ceph 20 refuse.
      const body = this.#bytes.slice(start, end);
      const answer = await this.#put(signed, body, partNumber);
      if (!answer) return;
      const outcome = classifyPut(answer);
      if (outcome instanceof StorageFault) return this.#afterFault(partNumber, outcome);
      if (outcome.kind === "signature") return this.#afterRefusal(partNumber, answer.status, answer.s3Code);
      if (answer.etag === null) return this.#afterFault(partNumber, this.#etagHidden());
      await this.#isStored([{ partNumber, etag: answer.etag, checksum: null }]);
    } catch (error) {
      if (ledger.flyingParts.has(partNumber)) ledger.giveBack(partNumber);
      throw error;
    }
  }

  async #put(signed: Parameters<typeof putPart>[0], body: Blob, partNumber: number) {
    try {
      return await putPart(signed, body, { signal: this.#signal, timeoutMs: putTimeoutMs(body.size) });
    } catch (error) {
      const { ledger } = this.#run;
      if (this.#signal.aborted) ledger.doubt(partNumber, ledger.attemptsOf(partNumber), now());
      else if (!(await isReadable(body))) throw new UploadError("FILE_LOST", undefined, { cause: error });
      else if (error instanceof StorageFault) this.#afterFault(partNumber, error);
      else throw error;
      return undefined;
    }
  }

  #afterFault(partNumber: number, fault: StorageFault): void {
    const { ledger } = this.#run;
    const attempts = ledger.attemptsOf(partNumber) + 1;
    // An expired signature looks like a network fault where the engine's 403 has no CORS headers.
    this.#signatures.drop(partNumber);
    const until = now() + retryDelayMs(attempts, random(), fault.retryAfterMs);
    ledger.doubt(partNumber, attempts, until);
    if (!isWorthRetrying(fault, attempts)) throw fault;
    this.#restAfter(fault, until);
  }

  #restAfter(fault: StorageFault, until: number): void {
    this.#restUntil = until;
    this.#lastFault = fault;
  }

  #afterRefusal(partNumber: number, status: number, s3Code: string | undefined): void {
    const { ledger } = this.#run;
    const attempts = ledger.attemptsOf(partNumber) + 1;
    this.#signatures.drop(partNumber);
    ledger.doubt(partNumber, attempts, now());
    if (attempts > 2)
      throw new StorageFault("hopeless", "FORBIDDEN", { detail: `${status} ${s3Code ?? ""}`.trim() });
  }

  #etagHidden(): StorageFault {
    console.warn("backhaul: a PUT was answered without an ETag. Do the bucket's CORS rules expose it?");
    return new StorageFault("busy", "STORAGE_RESPONSE_INVALID", { detail: "no ETag" });
  }

  /** Asks S3 which of these parts it has. What it hasn't is pending again. */
  async #lookUp(partNumbers: readonly number[]): Promise<void> {
    const { ledger } = this.#run;
    const { store, storage } = this.#context;
    const { token } = this.#record.remote;
    const missing = new Set(partNumbers);
    const highest = Math.max(...partNumbers);
    try {
      for (let after: number | null = Math.min(...partNumbers) - 1; after !== null && after < highest; ) {
        const page = await storage.uploadedParts(token, after);
        const found = page.parts.filter((part) => missing.has(part.partNumber) && ledger.matches(part));
        await this.#isStored(found.map(({ size: _, ...receipt }) => receipt));
        for (const { partNumber } of found) missing.delete(partNumber);
        if (page.next !== null && page.next <= after)
          throw new StorageFault("busy", "SERVER_RESPONSE_INVALID", {
            detail: "the list of parts does not advance",
          });
        after = page.next;
      }
      await store.unclaimParts(this.#run.id, token, [...missing]);
    } catch (error) {
      if (!(error instanceof StorageFault) || !isWorthRetrying(error, this.#record.attempts + 1)) throw error;
      // Others may still be on their way; the look-up is repeated with those that are in doubt by then.
      const until = now() + retryDelayMs(this.#record.attempts + 1, random(), error.retryAfterMs);
      for (const partNumber of missing) ledger.doubt(partNumber, ledger.attemptsOf(partNumber), until);
      this.#restAfter(error, until);
      return;
    }
    for (const partNumber of missing) ledger.giveBack(partNumber);
  }

  async #isStored(parts: readonly PartReceipt[]): Promise<void> {
    if (parts.length === 0) return;
    // First here, so that a halt while the receipt is written leaves nothing in doubt that isn't.
    for (const receipt of parts) {
      this.#run.partDone(receipt);
      this.#signatures.drop(receipt.partNumber);
    }
    this.#restUntil = 0;
    await this.#context.store.partsDone(this.#run.id, this.#record.remote.token, parts);
    this.#context.onProgress(
      this.#run,
      parts.map(({ partNumber }) => partNumber),
    );
  }
}

/** Whether a failed `fetch` was the file's fault: browsers report an unreadable body like a broken network. */
async function isReadable(body: Blob): Promise<boolean> {
  try {
    await body.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
