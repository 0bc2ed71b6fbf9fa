import { toWire, UploadError } from "../src/core/errors.ts";
import { partsOf, type Run } from "../src/core/plan-runs.ts";
import { compareTurns } from "../src/core/schedule.ts";
import type { Lane, WireSnapshot } from "../src/core/snapshot.ts";
import type { PartReceipt, UploadStorage } from "../src/core/storage.ts";
import type { TraceStep } from "../src/core/trace.ts";
import type { UploadEvent } from "../src/core/transition.ts";
import { isActive, isFinal, needsBytes, owesAbort, type UploadRecord } from "../src/core/upload.ts";
import type { ListMark, Parcel, ScopedName, UploadList } from "../src/protocol.ts";
import { md5, noChecksum } from "./checksums.ts";
import { after, every, now } from "./clock.ts";
import { type DriveContext, driveUpload, settleRemote } from "./drive-upload.ts";
import { PartPace } from "./part-pace.ts";
import { Publisher } from "./publisher.ts";
import { UploadRun } from "./upload-run.ts";
import type { UploadStore } from "./upload-store.ts";
import type { WorkerOptions } from "./worker-options.ts";

/** Estimates of moving uploads are published this often, whether or not S3 has confirmed something. */
const ESTIMATE_EVERY_MS = 500;

/** What the worker does with all uploads: whose turn it is, what wakes whom, and what pages are told. */
export class Engine {
  readonly #store: UploadStore;
  readonly #publisher: Publisher;
  readonly #context: DriveContext;
  readonly #maxDriven: number;
  readonly #runs = new Map<string, UploadRun>();
  /** Copies into IndexedDB that are under way, by upload. */
  readonly #copies = new Map<string, Promise<void>>();
  #lastCopy: Promise<void> = Promise.resolve();
  /** When a failed abort may be tried again, by upload. */
  readonly #settleAt = new Map<string, number>();
  #isDriver = false;
  #yields = false;
  /** Told of every upload that has come to its end. */
  onEnded = (_id: string) => {};
  #idleWaiters: (() => void)[] = [];
  #undoTimer = () => {};

  private constructor(store: UploadStore, storage: UploadStorage, options: WorkerOptions, name: ScopedName) {
    const { checksum, retry, stallMs } = options;
    const trace = (step: TraceStep) => options.trace({ at: now(), ...step });
    this.#store = store;
    this.#publisher = new Publisher(name, (id) => this.#visible(id)?.snapshot());
    this.#context = {
      store,
      storage,
      pace: new PartPace<UploadRecord>({
        ...{ capacity: options.parallelParts, perUpload: options.parallelPartsPerUpload },
        compare: compareTurns,
        onChange: (parts) => trace({ type: "parallel", parts }),
      }),
      ...{ retry, stallMs, trace },
      // An upload that an earlier version of the app's worker has begun may have another one.
      algorithmOf: (kind) => [checksum, md5, noChecksum].find((algorithm) => algorithm.kind === kind),
      onProgress: (run, partNumbers) => {
        this.#publisher.touch(run.id);
        this.#publisher.partsDone(run.id, partNumbers);
        if (run.record.attempts > 0) void this.#apply(run, { type: "progressed" });
      },
      apply: (run, event) => this.#apply(run, event),
    };
    // More than there are parts at once, so that small files' beginnings and ends overlap with others' bytes.
    this.#maxDriven = options.parallelParts * 2;
  }

  /**
   * Leaves the rest to the browser, or takes it up again. A worker that can't bring its uploads to their end before it
   * dies would send parts for nothing once the browser has begun to.
   */
  set yields(yields: boolean) {
    if (yields === this.#yields) return;
    this.#yields = yields;
    if (yields) for (const run of this.#runs.values()) run.halt();
    this.#look();
  }

  /** Seconds that the active uploads still take at the speed of now; undefined while that is unknown. */
  get secondsLeft(): number | undefined {
    let bytes = 0;
    let bytesPerSecond = 0;
    for (const run of this.#runs.values()) {
      if (!isActive(run.record) && run.record.state !== "waiting") continue;
      bytes += run.record.plan.size - run.ledger.doneBytes;
      if (run.driving) bytesPerSecond += run.bytesPerSecond ?? 0;
    }
    if (bytes === 0) return 0;
    return bytesPerSecond > 0 ? bytes / bytesPerSecond : undefined;
  }

  /** Reads what is stored, and drives it as soon as no other worker does. */
  static async start(
    store: UploadStore,
    storage: UploadStorage,
    options: WorkerOptions,
    name: ScopedName,
  ): Promise<Engine> {
    const engine = new Engine(store, storage, options, name);
    await engine.#load();
    // Held until this worker dies. During an update the old worker may still be driving.
    void navigator.locks.request(name, async () => {
      await engine.#load();
      engine.#isDriver = true;
      await engine.#deleteOrphanedBytes();
      engine.nudge();
      await new Promise(() => {});
    });
    every(ESTIMATE_EVERY_MS, () => engine.#publishEstimates());
    return engine;
  }

  list(): Omit<UploadList, "hasRelay"> {
    const snapshots: WireSnapshot[] = [];
    for (const id of this.#runs.keys()) {
      const snapshot = this.#visible(id)?.snapshot();
      if (snapshot) snapshots.push(snapshot);
    }
    return this.#publisher.list(snapshots);
  }

  /** Where pages will have seen everything that was done so far. */
  get mark(): ListMark {
    return this.#publisher.mark;
  }

  /** Something may have changed outside: the network, the time, the user's sign-in. */
  nudge(): void {
    for (const run of this.#runs.values()) {
      const { record } = run;
      if (record.state !== "waiting") continue;
      const networkIsBack =
        record.reason === "offline" || (record.reason === "backoff" && record.error.code === "NETWORK");
      if (networkIsBack && navigator.onLine && this.#isDriver) void this.#apply(run, { type: "wake" });
    }
    this.#look();
  }

  /** Settles when there is nothing that this worker could do or wait for with profit. */
  async idle(): Promise<void> {
    if (this.#isBusy) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** Adds uploads and settles once each is durable, or can't be made so. Adding an id again only waits for that. */
  async add(files: readonly { readonly record: UploadRecord; readonly source: Blob }[]): Promise<void> {
    for (const record of await this.#store.add(files.map(({ record }) => record))) {
      this.#runs.set(record.id, new UploadRun(record));
      this.#publisher.touch(record.id);
    }
    for (const { record, source } of files) {
      const run = this.#runs.get(record.id);
      if (run) this.#takeBytes(run, source);
    }
    this.#look();
    await Promise.all(files.map(({ record }) => this.#copies.get(record.id)));
  }

  /** Gives back the bytes of an upload that has lost them. */
  async attach(id: string, source: Blob): Promise<void> {
    const run = this.#find(id);
    const { record } = run;
    if (record.state !== "waiting" || record.reason !== "file")
      throw new UploadError("STATE_INVALID", "it does not wait for its file");
    const sameTime =
      record.lastModified === null || (source instanceof File && source.lastModified === record.lastModified);
    if (source.size !== record.plan.size || !sameTime) throw new UploadError("FILE_MISMATCH", record.name);
    this.#takeBytes(run, source);
    await this.#apply(run, { type: "wake" });
    await this.#copies.get(id);
  }

  /** Applies what the user said to one upload, or to all. */
  async command(id: string | null, event: Extract<UploadEvent, { type: "pause" | "resume" }>): Promise<void> {
    const runs = id === null ? [...this.#runs.values()] : [this.#find(id)];
    await Promise.all(runs.map((run) => this.#apply(run, event)));
  }

  async retry(id: string): Promise<void> {
    const run = this.#find(id);
    if (run.record.state !== "failed")
      throw new UploadError("STATE_INVALID", "only a failed upload can be retried");
    await this.#apply(run, { type: "retry" });
  }

  async cancel(id: string): Promise<void> {
    const run = this.#find(id);
    if (run.record.state === "done") throw new UploadError("STATE_INVALID", "it is done already");
    await this.#apply(run, { type: "cancel" });
  }

  async remove(id: string | null): Promise<void> {
    if (id === null) {
      const ended = [...this.#runs.values()].filter(({ record }) => !needsBytes(record));
      await Promise.all(ended.map((run) => this.#apply(run, { type: "remove" })));
      return;
    }
    const run = this.#visible(id);
    if (!run) return;
    if (!isFinal(run.record)) throw new UploadError("STATE_INVALID", "cancel it first");
    await this.#apply(run, { type: "remove" });
  }

  /** Whether the app wants the browser to move this upload's bytes, with or without a page. */
  wishesBrowser(id: string): boolean {
    return this.#runs.get(id)?.record.laneWish === "browser";
  }

  /** What could be left to the browser now: whatever is open at S3 and neither ended nor paused. */
  async parcels(): Promise<Parcel[]> {
    const parcels: Parcel[] = [];
    for (const run of this.#runs.values()) {
      const { record, ledger } = run;
      if (record.laneWish === "worker" || isLeftToBrowser(run)) continue;
      if ((record.state !== "uploading" && record.state !== "waiting") || record.remote.at !== "open")
        continue;
      run.bytes ??= await this.#store.bytes(run.id);
      if (!run.bytes) continue;
      const done = ledger.receipts().map(({ partNumber }) => partNumber);
      const { plan, laneWish, remote } = record;
      parcels.push({
        id: run.id,
        token: remote.token,
        plan,
        bytes: run.bytes,
        done,
        atOnce: laneWish === "browser",
      });
    }
    return parcels;
  }

  /** The relay has stored parts. */
  async confirmParts(id: string, token: string, receipts: readonly PartReceipt[]): Promise<void> {
    const run = this.#runs.get(id);
    const { record } = run ?? {};
    if (
      !run ||
      !record ||
      !("remote" in record) ||
      record.remote.at !== "open" ||
      record.remote.token !== token
    )
      return;
    const news = receipts
      .filter(({ partNumber }) => partNumber <= record.plan.partCount && !run.ledger.isDone(partNumber))
      // What the relay says of the bytes is what it got. They are compared before the end.
      .map((receipt) => ({ ...receipt, checksum: null }));
    if (news.length === 0) return;
    await this.#store.partsDone(id, token, news);
    for (const receipt of news) run.partDone(receipt);
    this.#context.onProgress(
      run,
      news.map(({ partNumber }) => partNumber),
    );
    run.onConfirmed();
    this.#look();
  }

  /** Somebody else may have stored parts of these runs; they are looked up before they are sent. */
  async doubtRuns(runs: readonly Run[]): Promise<void> {
    for (const { uploadId, ...stretch } of runs) {
      const run = this.#runs.get(uploadId);
      if (run?.record.state !== "uploading") continue;
      const { ledger } = run;
      const doubtful = partsOf(stretch).filter(
        (part) => part <= ledger.plan.partCount && !ledger.isDone(part) && !ledger.flyingParts.has(part),
      );
      await this.#store.claimParts(uploadId, run.record.remote.token, doubtful);
      for (const partNumber of doubtful) if (!ledger.isDone(partNumber)) ledger.doubt(partNumber, now());
    }
    this.#look();
  }

  setLane(ids: readonly string[], lane: Lane): void {
    for (const id of ids) {
      const run = this.#runs.get(id);
      if (!run) continue;
      run.lane = lane;
      if (isLeftToBrowser(run)) run.halt();
      this.#publisher.touch(id);
    }
    this.#look();
  }

  /** The user has signed in. */
  async authorized(): Promise<void> {
    for (const run of this.#runs.values())
      if (run.record.state === "waiting" && run.record.reason === "auth")
        await this.#apply(run, { type: "wake" });
  }

  #find(id: string): UploadRun {
    const run = this.#visible(id);
    if (!run) throw new UploadError("UPLOAD_NOT_FOUND", id);
    return run;
  }

  #visible(id: string): UploadRun | undefined {
    const run = this.#runs.get(id);
    return run && !(run.record.state === "canceled" && run.record.removed) ? run : undefined;
  }

  async #load(): Promise<void> {
    for (const record of await this.#store.all()) {
      const known = this.#runs.get(record.id);
      const parts = isFinal(record) ? [] : await this.#store.parts(record.id);
      if (known) {
        known.record = record;
        known.restart(parts);
      } else this.#runs.set(record.id, new UploadRun(record, parts));
    }
  }

  /** A worker that died between the end of an upload and the deletion of its bytes has left them. */
  async #deleteOrphanedBytes(): Promise<void> {
    for (const id of await this.#store.bytesIds()) {
      const run = this.#runs.get(id);
      if (!run || run.record.state === "done" || run.record.state === "canceled")
        await this.#store.deleteBytes(id);
    }
  }

  #takeBytes(run: UploadRun, source: Blob): void {
    if (isFinal(run.record) || run.record.durability === "stored" || this.#copies.has(run.id)) return;
    run.bytes = source;
    // The worker died between the record and its bytes, and the page has sent the file again.
    if (run.record.state === "waiting" && run.record.reason === "file")
      void this.#apply(run, { type: "wake" });
    // One after another: a thousand copies at once would keep the database from everything else.
    const copy = this.#lastCopy.then(() => this.#copyBytes(run, source));
    this.#lastCopy = copy;
    this.#copies.set(
      run.id,
      copy.finally(() => {
        this.#copies.delete(run.id);
        this.#look();
      }),
    );
  }

  async #copyBytes(run: UploadRun, source: Blob): Promise<void> {
    // Small files may arrive before their turn to be copied has come.
    if (!needsBytes(run.record)) return;
    try {
      await this.#store.putBytes(run.id, source);
      // As may have this one, or its user has thought better of it.
      if (run.record.state === "done" || run.record.state === "canceled")
        return await this.#store.deleteBytes(run.id);
      // From now on the copy: the file on disk may change or vanish.
      run.bytes = await this.#store.bytes(run.id);
      await this.#apply(run, { type: "stored" });
    } catch (error) {
      if (error instanceof UploadError && error.code === "SOURCE_CHANGED")
        await this.#apply(run, { type: "fail", error: toWire(error) });
      // No room: it goes on from memory, and its snapshot says so.
      else
        console.warn("backhaul: no copy of the file can be kept; the upload ends with this worker.", error);
    }
  }

  async #apply(run: UploadRun, event: UploadEvent): Promise<void> {
    const applied = await this.#store.apply(run.id, event);
    this.#publisher.touch(run.id);
    const { record, effects } = applied ?? { record: undefined, effects: [] };
    if (record) run.record = record;
    else this.#runs.delete(run.id);
    if (effects.includes("halt") || !record) run.halt();
    if (record && (effects.includes("deleteParts") || effects.includes("doubtParts")))
      run.restart(isFinal(record) ? [] : await this.#store.parts(run.id));
    if (effects.includes("deleteBytes")) {
      run.bytes = undefined;
      await this.#store.deleteBytes(run.id);
    }
    if (!record || isFinal(record)) this.onEnded(run.id);
    if (effects.includes("drive")) this.#look();
  }

  /** Starts what can be started, in turn, and sets the timer for what can't yet. */
  #look(): void {
    this.#undoTimer();
    if (this.#isDriver && !this.#yields) this.#startWork();
    if (this.#isBusy) return;
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  #startWork(): void {
    const inTurn = [...this.#runs.values()].sort((a, b) => compareTurns(a.record, b.record));
    let driven = inTurn.filter((run) => run.driving).length;
    let next = Number.POSITIVE_INFINITY;
    for (const run of inTurn) {
      const { record } = run;
      if (run.driving) continue;
      if (isActive(record)) {
        if (isLeftToBrowser(run) && !run.ledger.isComplete) continue;
        if (driven >= this.#maxDriven) continue;
        driven += 1;
        this.#drive(run, () => driveUpload(run, this.#context));
      } else if (owesAbort(record)) {
        const at = this.#settleAt.get(run.id) ?? 0;
        if (at > now()) next = Math.min(next, at);
        else this.#drive(run, () => this.#settle(run));
      } else if (record.state === "waiting" && record.nextAttemptAt !== null) {
        if (record.nextAttemptAt > now()) next = Math.min(next, record.nextAttemptAt);
        else void this.#apply(run, { type: "wake" });
      }
    }
    if (next < Number.POSITIVE_INFINITY) this.#undoTimer = after(next - now(), () => this.#look());
  }

  #drive(run: UploadRun, work: () => Promise<void>): void {
    run.restart();
    run.driving = work()
      .catch((error: unknown) => {
        // Only the database fails like this; a newer worker may have taken it. What is stored is safe there.
        console.error("backhaul: this worker stops driving.", error);
        this.#isDriver = false;
      })
      .finally(() => {
        run.driving = undefined;
        this.#look();
      });
  }

  async #settle(run: UploadRun): Promise<void> {
    const again = await settleRemote(run, this.#context);
    if (again === undefined) this.#settleAt.delete(run.id);
    else this.#settleAt.set(run.id, again);
  }

  get #isBusy(): boolean {
    if (this.#copies.size > 0) return true;
    if (this.#yields) return false;
    for (const run of this.#runs.values()) {
      const { record, driving } = run;
      if (driving || (isActive(record) && !isLeftToBrowser(run)) || owesAbort(record)) return true;
      if (record.state === "waiting" && record.nextAttemptAt !== null) return true;
    }
    return false;
  }

  #publishEstimates(): void {
    for (const run of this.#runs.values()) if (run.ledger.flyingParts.size > 0) this.#publisher.touch(run.id);
  }
}

/** The worker has nothing to do for it but to take in what the browser has done. */
function isLeftToBrowser({ record, lane }: UploadRun): boolean {
  return record.laneWish === "browser" && record.state === "uploading" && lane === "browser";
}
