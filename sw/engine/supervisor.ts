import { UploadError, type UploadErrorCode } from "../../src/core/errors.ts";
import type { EngineOptions } from "../../src/core/options.ts";
import type { UploadStorage } from "../../src/core/storage.ts";
import type { TraceStep } from "../../src/core/trace.ts";
import type { UploadDatabase } from "../database/index.ts";
import type { FileCopies } from "../files/index.ts";
import {
  type ConditionsCheck,
  checkConditions,
  compareTurns,
  isActive,
  isMetered,
  owesAbort,
  type UploadRecord,
} from "../model/index.ts";
import { type ChecksumAlgorithm, md5, noChecksum, PartPace } from "../parts/index.ts";
import type { Platform } from "../platform/index.ts";
import { type DriveContext, driveUpload, settleRemote } from "./drive-upload.ts";
import type { LiveUpload } from "./live-upload.ts";
import type { Publisher } from "./publisher.ts";
import type { Roster } from "./roster.ts";

/** Estimates of moving uploads are published this often, whether or not S3 has confirmed something. */
const ESTIMATE_EVERY_MS = 500;

/** A write that finds no room may find it later: Chromium needs a while to clear away what a failed one has left. */
const NO_ROOM_MS = 2_000;

const NETWORK_CODES: ReadonlySet<UploadErrorCode> = new Set(["NETWORK", "STORAGE_UNREACHABLE"]);

export interface SupervisorOptions {
  readonly platform: Pick<Platform, "clock" | "fetch" | "random" | "network">;
  readonly roster: Roster;
  readonly publisher: Publisher;
  readonly copies: FileCopies<LiveUpload>;
  readonly database: UploadDatabase;
  readonly storage: UploadStorage;
  readonly checksum: ChecksumAlgorithm;
  readonly options: EngineOptions;
  readonly trace: (step: TraceStep) => void;
}

/** Whose turn it is, and what wakes whom. */
export class Supervisor {
  readonly #platform: SupervisorOptions["platform"];
  readonly #roster: Roster;
  readonly #publisher: Publisher;
  readonly #copies: FileCopies<LiveUpload>;
  readonly #context: DriveContext;
  readonly #maxDriven: number;
  /** When a failed abort may be tried again, by upload. */
  readonly #settleAt = new Map<string, number>();
  #recalledSpeed: number | null = null;
  #isDriver = false;
  /** Until then the disk counts as full, in milliseconds since 1970. */
  #noRoomUntil = 0;
  #leavesRestToBrowser = false;
  #idleWaiters: (() => void)[] = [];
  #undoTimer = () => {};

  constructor({ platform, roster, publisher, copies, database, storage, ...rest }: SupervisorOptions) {
    const { checksum, options, trace } = rest;
    const { retry, stallTimeoutMs, parallelParts, parallelPartsPerUpload } = options;
    this.#platform = platform;
    this.#roster = roster;
    this.#publisher = publisher;
    this.#copies = copies;
    this.#context = {
      platform,
      database,
      storage,
      pace: new PartPace<UploadRecord>({
        clock: platform.clock,
        capacity: parallelParts,
        perUpload: parallelPartsPerUpload,
        compare: compareTurns,
        onChange: (parts) => trace({ type: "parallel", parts }),
      }),
      retry,
      stallTimeoutMs,
      trace,
      // An upload that an earlier version of the app's worker has begun may have another one.
      algorithmOf: (kind) => [checksum, md5, noChecksum].find((algorithm) => algorithm.kind === kind),
      onProgress: (id, partNumbers) => this.progressed(id, partNumbers),
      apply: (upload, event) => roster.apply(upload, event),
    };
    // More than there are parts at once, so that small files' beginnings and ends overlap with others' bytes.
    this.#maxDriven = parallelParts * 2;
    roster.on("changed", () => this.startDueWork());
    platform.clock.every(ESTIMATE_EVERY_MS, () => this.#publishEstimates());
  }

  /** Reads what earlier workers have measured. */
  async recall(): Promise<void> {
    this.#recalledSpeed = await this.#context.database.partSpeed();
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
   * Leaves the rest to the browser, or goes on with it. A worker that can't bring its uploads to their end before it dies
   * would send parts for nothing once the browser has begun to.
   */
  set leavesRestToBrowser(leaves: boolean) {
    if (leaves === this.#leavesRestToBrowser) return;
    this.#leavesRestToBrowser = leaves;
    if (leaves) for (const upload of this.#roster.own()) upload.halt();
    this.startDueWork();
  }

  /** Seconds that the active uploads still need at the speed of now; undefined while that is unknown. */
  get secondsLeft(): number | undefined {
    let bytes = 0;
    let bytesPerSecond = 0;
    for (const upload of this.#roster.own()) {
      const { record, ledger } = upload;
      if (!isActive(record) && (record.state !== "waiting" || record.reason === "conditions")) continue;
      bytes += record.plan.size - ledger.doneBytes;
      if (upload.driving) bytesPerSecond += upload.bytesPerSecond ?? 0;
    }
    if (bytes === 0) return 0;
    return bytesPerSecond > 0 ? bytes / bytesPerSecond : undefined;
  }

  /** Something may have changed outside: the network, the time, the user's sign-in. */
  nudge(): void {
    for (const upload of this.#roster.own()) {
      const { record } = upload;
      if (record.state !== "waiting") continue;
      const isNetworkBack =
        record.reason === "offline" || (record.reason === "backoff" && NETWORK_CODES.has(record.error.code));
      if (!this.#isDriver) continue;
      if (isNetworkBack && this.#platform.network.isOnline) void this.#roster.apply(upload, { type: "wake" });
      // The user may have allowed it, or put the file back.
      if (record.reason === "file") this.#copies.reopen(upload).catch(() => {});
    }
    this.startDueWork();
  }

  /** Settles when there is nothing that this worker could do or wait for with profit. */
  async idle(): Promise<void> {
    if (this.isBusy) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  get isBusy(): boolean {
    if (this.#copies.isBusy) return true;
    if (this.#leavesRestToBrowser) return false;
    return this.#roster.own().some((upload) => {
      const { record, driving } = upload;
      if (driving || (isActive(record) && !upload.isLeftToBrowser) || owesAbort(record)) return true;
      // The night may be far; a page rings when it has come.
      return record.state === "waiting" && record.nextAttemptAt !== null && record.reason !== "conditions";
    });
  }

  /** S3 has confirmed these parts. */
  progressed(id: string, partNumbers: readonly number[]): void {
    const upload = this.#roster.get(id);
    if (!upload) return;
    this.#roster.touch(upload);
    if (this.#roster.isOwn(upload)) this.#publisher.partsDone(id, partNumbers);
    if (upload.record.attempts > 0) void this.#roster.apply(upload, { type: "progressed" });
  }

  /** Starts what can be started, in turn, and sets the timer for what can't yet. */
  startDueWork(): void {
    this.#undoTimer();
    if (this.#isDriver && !this.#leavesRestToBrowser) this.#startInTurn();
    if (this.isBusy) return;
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  #startInTurn(): void {
    const now = this.#platform.clock.now();
    const noRoomMs = this.#noRoomUntil - now;
    if (noRoomMs > 0) {
      this.#undoTimer = this.#platform.clock.after(noRoomMs, () => this.startDueWork());
      return;
    }
    const inTurn = this.#roster.own().sort((a, b) => compareTurns(a.record, b.record));
    // Counts uploads ahead only: what comes late but is urgent need not wait for one of the others to end.
    let driven = 0;
    let next = Number.POSITIVE_INFINITY;
    for (const upload of inTurn) {
      const { record } = upload;
      const check = this.#checkConditions(record);
      next = Math.min(next, check?.recheckAt ?? next);
      if (check && this.#isHeldBack(upload, check)) continue;
      if (upload.driving) {
        driven += 1;
        continue;
      }
      if (isActive(record)) {
        if (upload.isLeftToBrowser && !upload.ledger.isComplete) continue;
        if (driven >= this.#maxDriven) continue;
        driven += 1;
        this.#drive(upload, () => driveUpload(upload, this.#context));
      } else if (owesAbort(record)) {
        const at = this.#settleAt.get(upload.id) ?? 0;
        if (at > now) next = Math.min(next, at);
        else this.#drive(upload, () => this.#settle(upload));
      } else if (record.state === "waiting" && record.nextAttemptAt !== null) {
        if (record.nextAttemptAt > now) next = Math.min(next, record.nextAttemptAt);
        else void this.#roster.apply(upload, { type: "wake" });
      }
    }
    if (next < Number.POSITIVE_INFINITY)
      this.#undoTimer = this.#platform.clock.after(next - now, () => this.startDueWork());
  }

  /** Writes down what the app's conditions say. Returns whether they leave nothing else to do for the upload now. */
  #isHeldBack(upload: LiveUpload, { unmet, recheckAt }: ConditionsCheck): boolean {
    const waiting = upload.record.state === "waiting" ? upload.record : undefined;
    if (unmet === null) {
      if (waiting) void this.#roster.apply(upload, { type: "wake" });
    } else if (waiting?.nextAttemptAt !== recheckAt || waiting.error.detail !== unmet)
      void this.#roster.apply(upload, { type: "conditionsUnmet", by: unmet, recheckAt });
    return unmet !== null || waiting !== undefined;
  }

  /** What the app's conditions say to an upload that has bytes to move; undefined if nothing. */
  #checkConditions(record: UploadRecord): ConditionsCheck | undefined {
    const { conditions, state } = record;
    if (!conditions) return undefined;
    const isConcerned =
      state === "queued" || state === "uploading" || (state === "waiting" && record.reason === "conditions");
    const { clock, network } = this.#platform;
    return isConcerned
      ? checkConditions(conditions, {
          now: clock.now(),
          msOfDay: clock.msOfDay(),
          isMetered: isMetered(network.connection),
        })
      : undefined;
  }

  #drive(upload: LiveUpload, work: () => Promise<void>): void {
    upload.restart();
    upload.driving = work()
      .then(() => this.#rememberSpeed())
      .catch((error: unknown) => {
        if (error instanceof UploadError && error.code === "QUOTA_EXCEEDED") {
          this.#noRoomUntil = this.#platform.clock.now() + NO_ROOM_MS;
          return;
        }
        // Only the database fails like this; a newer worker may own it now. What is stored is safe there.
        console.error("backhaul: this worker stops driving.", error);
        this.#isDriver = false;
      })
      .finally(() => {
        upload.driving = undefined;
        this.startDueWork();
      });
  }

  async #rememberSpeed(): Promise<void> {
    const { steadySpeed } = this.#context.pace;
    // A disk that is full is no reason to stop: the speed is measured again next time.
    if (steadySpeed !== null) await this.#context.database.setPartSpeed(steadySpeed).catch(() => {});
  }

  async #settle(upload: LiveUpload): Promise<void> {
    const again = await settleRemote(upload, this.#context);
    if (again === undefined) this.#settleAt.delete(upload.id);
    else this.#settleAt.set(upload.id, again);
  }

  #publishEstimates(): void {
    for (const upload of this.#roster.own())
      if (upload.ledger.flyingParts.size > 0) this.#roster.touch(upload);
  }
}
