import { UploadError, type UploadErrorCode } from "../../src/core/errors.ts";
import type { UploadStorage } from "../../src/core/storage.ts";
import type { UploadDatabase } from "../database/upload-database.ts";
import type { FileCopies } from "../files/file-copies.ts";
import { isMetered, judge, type Verdict } from "../model/conditions.ts";
import { isActive, owesAbort, type UploadRecord } from "../model/record.ts";
import { compareTurns } from "../model/schedule.ts";
import { md5, noChecksum } from "../parts/checksums.ts";
import { PartPace } from "../parts/pace.ts";
import { after, every, localTime, now } from "../platform/clock.ts";
import type { WorkerOptions } from "../worker-options.ts";
import { type DriveContext, driveUpload, settleRemote } from "./drive-upload.ts";
import { isLeftToBrowser } from "./handed-over-uploads.ts";
import type { LiveUpload } from "./live-upload.ts";
import type { Roster } from "./roster.ts";

/** Estimates of moving uploads are published this often, whether or not S3 has confirmed something. */
const ESTIMATE_EVERY_MS = 500;

/** A write that finds no room may find it later: Chromium takes a while to clear away what a failed one has left. */
const NO_ROOM_MS = 2_000;

const OF_THE_NETWORK: ReadonlySet<UploadErrorCode> = new Set(["NETWORK", "STORAGE_UNREACHABLE"]);

/** Whose turn it is, and what wakes whom. */
export class Supervisor {
  readonly #roster: Roster;
  readonly #keeper: FileCopies;
  readonly #context: DriveContext;
  readonly #maxDriven: number;
  /** When a failed abort may be tried again, by upload. */
  readonly #settleAt = new Map<string, number>();
  #recalledSpeed: number | null = null;
  #isDriver = false;
  /** The disk was full, in milliseconds since 1970. */
  #noRoomUntil = 0;
  #yields = false;
  #idleWaiters: (() => void)[] = [];
  #undoTimer = () => {};

  constructor(
    roster: Roster,
    keeper: FileCopies,
    store: UploadDatabase,
    storage: UploadStorage,
    options: WorkerOptions,
  ) {
    this.#roster = roster;
    this.#keeper = keeper;
    const { checksum, retry, stallTimeoutMs } = options;
    const { trace } = roster;
    this.#context = {
      store,
      storage,
      pace: new PartPace<UploadRecord>({
        ...{ capacity: options.parallelParts, perUpload: options.parallelPartsPerUpload },
        compare: compareTurns,
        onChange: (parts) => trace({ type: "parallel", parts }),
      }),
      ...{ retry, stallTimeoutMs, trace },
      // An upload that an earlier version of the app's worker has begun may have another one.
      algorithmOf: (kind) => [checksum, md5, noChecksum].find((algorithm) => algorithm.kind === kind),
      onProgress: (run, partNumbers) => this.progressed(run, partNumbers),
      apply: (run, event) => roster.apply(run, event),
    };
    // More than there are parts at once, so that small files' beginnings and ends overlap with others' bytes.
    this.#maxDriven = options.parallelParts * 2;
    roster.onChanged = () => this.look();
    every(ESTIMATE_EVERY_MS, () => this.#publishEstimates());
  }

  /** What earlier workers have measured. */
  async recall(): Promise<void> {
    this.#recalledSpeed = await this.#context.store.partSpeed();
  }

  /** Bytes per second of one part among the parallel ones, as measured last in this browser; null if never. */
  get partSpeed(): number | null {
    return this.#context.pace.steadySpeed ?? this.#recalledSpeed;
  }

  /** From now on this worker is the one that drives. */
  drive(): void {
    this.#isDriver = true;
    this.nudge();
  }

  /**
   * Leaves the rest to the browser, or takes it up again. A worker that can't bring its uploads to their end before it
   * dies would send parts for nothing once the browser has begun to.
   */
  set yields(yields: boolean) {
    if (yields === this.#yields) return;
    this.#yields = yields;
    if (yields) for (const run of this.#roster.own()) run.halt();
    this.look();
  }

  /** Seconds that the active uploads still take at the speed of now; undefined while that is unknown. */
  get secondsLeft(): number | undefined {
    let bytes = 0;
    let bytesPerSecond = 0;
    for (const run of this.#roster.own()) {
      const { record } = run;
      if (!isActive(record) && (record.state !== "waiting" || record.reason === "conditions")) continue;
      bytes += record.plan.size - run.ledger.doneBytes;
      if (run.driving) bytesPerSecond += run.bytesPerSecond ?? 0;
    }
    if (bytes === 0) return 0;
    return bytesPerSecond > 0 ? bytes / bytesPerSecond : undefined;
  }

  /** Something may have changed outside: the network, the time, the user's sign-in. */
  nudge(): void {
    for (const run of this.#roster.own()) {
      const { record } = run;
      if (record.state !== "waiting") continue;
      const networkIsBack =
        record.reason === "offline" || (record.reason === "backoff" && OF_THE_NETWORK.has(record.error.code));
      if (!this.#isDriver) continue;
      if (networkIsBack && navigator.onLine) void this.#roster.apply(run, { type: "wake" });
      // The user may have allowed it, or put the file back.
      if (record.reason === "file") this.#keeper.reopen(run).catch(() => {});
    }
    this.look();
  }

  /** Settles when there is nothing that this worker could do or wait for with profit. */
  async idle(): Promise<void> {
    if (this.isBusy) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  get isBusy(): boolean {
    if (this.#keeper.isBusy) return true;
    if (this.#yields) return false;
    return this.#roster.own().some((run) => {
      const { record, driving } = run;
      if (driving || (isActive(record) && !isLeftToBrowser(run)) || owesAbort(record)) return true;
      // The night may be far; a page rings when it has come.
      return record.state === "waiting" && record.nextAttemptAt !== null && record.reason !== "conditions";
    });
  }

  /** S3 has confirmed these parts. */
  progressed(run: LiveUpload, partNumbers: readonly number[]): void {
    this.#roster.touch(run);
    if (this.#roster.isOwn(run)) this.#roster.publisher.partsDone(run.id, partNumbers);
    if (run.record.attempts > 0) void this.#roster.apply(run, { type: "progressed" });
  }

  /** Starts what can be started, in turn, and sets the timer for what can't yet. */
  look(): void {
    this.#undoTimer();
    if (this.#isDriver && !this.#yields) this.#startWork();
    if (this.isBusy) return;
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  #startWork(): void {
    const noRoomMs = this.#noRoomUntil - now();
    if (noRoomMs > 0) {
      this.#undoTimer = after(noRoomMs, () => this.look());
      return;
    }
    const inTurn = this.#roster.own().sort((a, b) => compareTurns(a.record, b.record));
    // Of those ahead: what comes late but is urgent need not wait for one of the others to end.
    let driven = 0;
    let next = Number.POSITIVE_INFINITY;
    for (const run of inTurn) {
      const { record } = run;
      const verdict = judged(record);
      next = Math.min(next, verdict?.lookAgainAt ?? next);
      if (verdict && this.#obey(run, verdict)) continue;
      if (run.driving) {
        driven += 1;
        continue;
      }
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
        else void this.#roster.apply(run, { type: "wake" });
      }
    }
    if (next < Number.POSITIVE_INFINITY) this.#undoTimer = after(next - now(), () => this.look());
  }

  /** Whether the app's conditions leave nothing else to do for it now. */
  #obey(run: LiveUpload, { forbiddenBy, lookAgainAt }: Verdict): boolean {
    const waiting = run.record.state === "waiting" ? run.record : undefined;
    if (forbiddenBy === null) {
      if (waiting) void this.#roster.apply(run, { type: "wake" });
    } else if (waiting?.nextAttemptAt !== lookAgainAt || waiting.error.detail !== forbiddenBy)
      void this.#roster.apply(run, { type: "forbidden", by: forbiddenBy, lookAgainAt });
    return forbiddenBy !== null || waiting !== undefined;
  }

  #drive(run: LiveUpload, work: () => Promise<void>): void {
    run.restart();
    run.driving = work()
      .then(() => this.#rememberSpeed())
      .catch((error: unknown) => {
        if (error instanceof UploadError && error.code === "QUOTA_EXCEEDED") {
          this.#noRoomUntil = now() + NO_ROOM_MS;
          return;
        }
        // Only the database fails like this; a newer worker may have taken it. What is stored is safe there.
        console.error("backhaul: this worker stops driving.", error);
        this.#isDriver = false;
      })
      .finally(() => {
        run.driving = undefined;
        this.look();
      });
  }

  async #rememberSpeed(): Promise<void> {
    const { steadySpeed } = this.#context.pace;
    // A disk that is full is no reason to stop: it is measured again next time.
    if (steadySpeed !== null) await this.#context.store.setPartSpeed(steadySpeed).catch(() => {});
  }

  async #settle(run: LiveUpload): Promise<void> {
    const again = await settleRemote(run, this.#context);
    if (again === undefined) this.#settleAt.delete(run.id);
    else this.#settleAt.set(run.id, again);
  }

  #publishEstimates(): void {
    for (const run of this.#roster.own()) if (run.ledger.flyingParts.size > 0) this.#roster.touch(run);
  }
}

/** What the app's conditions say to an upload that has bytes to move. Undefined if nothing. */
function judged(record: UploadRecord): Verdict | undefined {
  const { conditions, state } = record;
  if (!conditions) return undefined;
  const isConcerned =
    state === "queued" || state === "uploading" || (state === "waiting" && record.reason === "conditions");
  return isConcerned
    ? judge(conditions, { ...localTime(), isMetered: isMetered(navigator.connection) })
    : undefined;
}
