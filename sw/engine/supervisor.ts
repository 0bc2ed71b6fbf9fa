import { UploadError } from "../../src/core/errors.ts";
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
  isFinal,
  isMetered,
  owesAbort,
  type UploadEvent,
  type UploadRecord,
} from "../model/index.ts";
import { type ChecksumAlgorithm, md5, noChecksum, PartPace } from "../parts/index.ts";
import type { Platform } from "../platform/index.ts";
import { type DriveContext, driveUpload, settleRemote } from "./drive-upload.ts";
import { Gates } from "./gates.ts";
import type { LiveUpload } from "./live-upload.ts";
import type { Publisher } from "./publisher.ts";
import type { Roster } from "./roster.ts";

/** Estimates of moving uploads are published this often, whether or not S3 has confirmed something. */
const ESTIMATE_EVERY_MS = 500;
/** A write that finds no room may find it later: Chromium needs a while to clear away what a failed one has left. */
const NO_ROOM_MS = 2_000;
/** Timers stand still while the device sleeps, and clocks are set, so that none waits for long at a time. */
const LONGEST_TIMER_MS = 60_000;
/** Pages may have much to say, and with thousands of uploads a look at all costs a millisecond. */
const EVENT_PAUSE_MS = 1_000;
/** A speed that differs by less is not worth a write. */
const TELLING_CHANGE = 0.2;

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
  /** The database has failed, and with it whatever rests on it. */
  readonly onFailure: (error: unknown) => void;
}

/** Whose turn it is, and what wakes whom. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #gates: Gates;
  readonly #context: DriveContext;
  readonly #maxDriven: number;
  /** When a failed abort may be tried again, by upload, by `clock.elapsed()`. */
  readonly #settleAt = new Map<string, number>();
  #knownSpeed: number | null = null;
  #isDriver = false;
  #isScheduled = false;
  /** The uploads that are being driven. */
  readonly #driven = new Set<LiveUpload>();
  /** The uploads that could be driven if there were a place and the way open, by the last look at all; the first comes last. */
  #ready: LiveUpload[] = [];
  /** The last look at all, and the time at which another one is due, by `clock.elapsed()`. */
  #lookedAt = Number.NEGATIVE_INFINITY;
  #lookAt = 0;
  /** Until then the disk counts as full, by `clock.elapsed()`. */
  #noRoomUntil = 0;
  #leavesRestToBrowser = false;
  #idleWaiters: (() => void)[] = [];
  #undoTimer = () => {};
  #undoEstimates: (() => void) | undefined;

  constructor(options: SupervisorOptions) {
    const { platform, roster, database, storage, checksum, trace } = options;
    const { retry, stallTimeoutMs, parallelParts, parallelPartsPerUpload } = options.options;
    this.#options = options;
    this.#gates = new Gates(platform, retry);
    const onOpened = () => this.#onGateOpened();
    this.#context = {
      platform,
      database,
      storage: this.#gates.guard(storage, onOpened),
      gates: this.#gates,
      s3: this.#gates.s3,
      onOpened,
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
    // The server may have refused the uploads of the user before.
    roster.on("owner", () => this.tryEverything());
  }

  /** The storage. Its calls tell all uploads how the way to it is. */
  get storage(): UploadStorage {
    return this.#context.storage;
  }

  /** Whether this worker drives, and nothing is known to be in the way. */
  get isWayOpen(): boolean {
    const isRoom = this.#noRoomUntil <= this.#options.platform.clock.elapsed();
    return this.#isDriver && !this.#leavesRestToBrowser && !this.#gates.areShut && isRoom;
  }

  /** Reads what earlier workers have measured. */
  async recall(): Promise<void> {
    this.#knownSpeed = await this.#context.database.partSpeed();
  }

  /** Bytes per second of one part among the parallel ones, as measured last in this browser; null if never. */
  get partSpeed(): number | null {
    return this.#context.pace.steadySpeed ?? this.#knownSpeed;
  }

  /** Bytes per second of all parts together: at the moment, or of one part at least; null if never measured. */
  get linkSpeed(): number | null {
    let bytesPerSecond = 0;
    for (const upload of this.#driven) bytesPerSecond += upload.bytesPerSecond ?? 0;
    return bytesPerSecond > 0 ? bytesPerSecond : this.partSpeed;
  }

  /** From now on this worker is the one that drives. */
  drive(): void {
    this.#isDriver = true;
    if (this.#waiting("offline", "backoff", "auth").length > 0) this.#gates.startShut();
    this.tryEverything();
  }

  /** Drives nothing any more. What is under way is broken off. */
  stop(): void {
    this.#isDriver = false;
    this.#undoTimer();
    this.#undoEstimates?.();
    for (const upload of this.#options.roster.own()) upload.halt();
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  /**
   * Leaves the rest to the browser, or goes on with it. A worker that can't bring its uploads to their end before it dies
   * would send parts for nothing once the browser has begun to.
   */
  set leavesRestToBrowser(leaves: boolean) {
    if (leaves === this.#leavesRestToBrowser) return;
    this.#leavesRestToBrowser = leaves;
    // Parts that are on their way would be sent twice if they were broken off.
    for (const upload of this.#options.roster.unfinished()) {
      upload.leavesRest = leaves;
      upload.confirmedElsewhere();
    }
    this.startDueWork();
  }

  /** Seconds that the active uploads still need at the speed of now; undefined while that is unknown. */
  get secondsLeft(): number | undefined {
    let bytes = 0;
    let bytesPerSecond = 0;
    for (const upload of this.#options.roster.unfinished()) {
      const { record, ledger } = upload;
      if (!isActive(record) && (record.state !== "waiting" || record.reason === "conditions")) continue;
      bytes += record.plan.size - ledger.doneBytes;
      if (upload.driving) bytesPerSecond += upload.bytesPerSecond ?? 0;
    }
    if (bytes === 0) return 0;
    return bytesPerSecond > 0 ? bytes / bytesPerSecond : undefined;
  }

  /** Something may have changed outside: the network, the user's sign-in, a file. Whatever waits is tried, one for all. */
  tryEverything(): void {
    this.#gates.probeNow();
    for (const upload of this.#waiting("offline", "backoff", "auth")) upload.makeDue();
    // The user may have allowed a file, or put it back.
    if (this.#isDriver)
      for (const upload of this.#waiting("file")) this.#options.copies.reopen(upload).catch(() => {});
    this.startDueWork();
  }

  /** The network is there. Whatever waits for it is tried, one for all. */
  tryOffline(): void {
    const offline = this.#waiting("offline");
    if (offline.length > 0) this.#gates.probeNow();
    for (const upload of offline) upload.makeDue();
    this.startDueWork();
  }

  /** Settles when there is nothing that this worker could do or wait for with profit. */
  async idle(): Promise<void> {
    if (this.isBusy) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  get isBusy(): boolean {
    const { copies, roster } = this.#options;
    if (copies.isBusy) return true;
    if (this.#driven.size > 0) return true;
    if (this.#leavesRestToBrowser) return false;
    const { isSignedOut } = this.#gates;
    return roster.unfinished().some((upload) => {
      const { record, isBeingWritten, isLeftToBrowser, dueAt } = upload;
      if (isBeingWritten) return true;
      // Without a user no byte moves; a page says when there is one.
      if (isSignedOut && !upload.needsNoUser) return false;
      if ((isActive(record) && !isLeftToBrowser) || owesAbort(record)) return true;
      // The night may be far; a page rings when it has come.
      return (
        record.state === "waiting" &&
        record.reason !== "conditions" &&
        record.reason !== "auth" &&
        dueAt < Number.POSITIVE_INFINITY
      );
    });
  }

  /** Something of the signed-in user's waits for network or time, or is under way: the browser should wake a worker for it. */
  get wantsWakeUp(): boolean {
    return this.#options.roster
      .unfinished()
      .some(
        ({ record }) =>
          isActive(record) ||
          (record.state === "waiting" && (record.reason === "offline" || record.reason === "backoff")),
      );
  }

  /** S3 has confirmed these parts. */
  progressed(id: string, partNumbers: readonly number[]): void {
    const { roster, publisher } = this.#options;
    const upload = roster.get(id);
    if (!upload) return;
    roster.touch(upload);
    if (roster.isOwn(upload)) publisher.partsDone(id, partNumbers);
    if (upload.record.attempts > 0) this.#write([upload], () => ({ type: "progressed" }));
  }

  /** Looks at all uploads, and starts those that can be started, in turn. However often it is asked for, once. */
  startDueWork(): void {
    this.#lookAt = 0;
    this.#schedule();
  }

  /** Starts due work, though nothing that is known has changed: all are looked at only if the last look is a while ago. */
  checkForWork(): void {
    if (this.#options.platform.clock.elapsed() - this.#lookedAt >= EVENT_PAUSE_MS) this.startDueWork();
    else this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      this.#undoTimer();
      if (this.#isDriver && !this.#leavesRestToBrowser) this.#fillPlaces();
      if (this.isBusy) return;
      for (const resolve of this.#idleWaiters.splice(0)) resolve();
    });
  }

  #fillPlaces(): void {
    const { clock } = this.#options.platform;
    const now = clock.elapsed();
    if (this.#noRoomUntil > now) {
      this.#undoTimer = clock.after(this.#noRoomUntil - now, () => this.startDueWork());
      return;
    }
    if (now >= this.#lookAt) this.#lookAtAll(now);
    const gateMs = this.#gates.waitMs;
    if (gateMs === 0) this.#startReady(now);
    else if (this.#gates.waitMsUnattended === 0) this.#startUnattended(now);
    const gateAt = this.#ready.length > 0 && gateMs > 0 ? now + gateMs : Number.POSITIVE_INFINITY;
    const next = Math.min(this.#lookAt, gateAt);
    if (next === Number.POSITIVE_INFINITY) return;
    const waitMs = Math.min(Math.max(next - now, 0), LONGEST_TIMER_MS);
    this.#undoTimer = clock.after(waitMs, () => this.startDueWork());
  }

  /** Finds out who is ready, whose conditions have changed, and when there will be something new to find out. */
  #lookAtAll(now: number): void {
    const { clock } = this.#options.platform;
    const unmet = new Map<LiveUpload, ConditionsCheck>();
    const met: LiveUpload[] = [];
    let nextMs = Number.POSITIVE_INFINITY;
    this.#lookedAt = now;
    this.#ready = [];
    for (const upload of this.#options.roster.unfinished()) {
      const { record } = upload;
      if (upload.isBeingWritten) continue;
      const check = this.#checkConditions(record);
      if (check?.recheckAt) nextMs = Math.min(nextMs, check.recheckAt - clock.now());
      if (check && check.unmet !== null) {
        if (isNews(record, check)) unmet.set(upload, check);
      } else if (check && record.state === "waiting") met.push(upload);
      else {
        const dueMs = this.#dueMs(upload, now);
        if (dueMs === 0) this.#ready.push(upload);
        else if (dueMs !== undefined) nextMs = Math.min(nextMs, dueMs);
      }
    }
    this.#ready.sort((a, b) => compareTurns(b.record, a.record));
    this.#lookAt = now + nextMs;
    this.#write([...unmet.keys()], (upload) => {
      const { unmet: by, recheckAt } = unmet.get(upload) as ConditionsCheck;
      return { type: "conditionsUnmet", by: by as NonNullable<typeof by>, recheckAt };
    });
    this.#write(met, () => ({ type: "wake" }));
  }

  /** Starts those in front, as they were found. Any event but an upload's end has asked for another look at all. */
  #startReady(now: number): void {
    const mostDriven = this.#gates.areShut ? 1 : this.#maxDriven;
    for (let upload = this.#ready.at(-1); upload; upload = this.#ready.at(-1)) {
      if (this.#isStartable(upload, now)) {
        const { record } = upload;
        // Only uploads ahead count: an urgent one that comes late need not wait for one of the others to end.
        const ahead = [...this.#driven].filter((other) => compareTurns(other.record, record) <= 0);
        if (ahead.length >= mostDriven) return;
        this.#start(upload);
      }
      this.#ready.pop();
    }
  }

  /** Only the user's sign-in is missing: starts those that get to their end without it. */
  #startUnattended(now: number): void {
    for (const upload of this.#ready.toReversed()) {
      if (this.#driven.size >= this.#maxDriven) return;
      if (upload.needsNoUser && this.#isStartable(upload, now)) this.#start(upload);
    }
  }

  #isStartable(upload: LiveUpload, now: number): boolean {
    const { roster } = this.#options;
    const isThere = roster.get(upload.id) === upload && roster.isOwn(upload);
    return isThere && !upload.isBeingWritten && this.#dueMs(upload, now) === 0;
  }

  /** Milliseconds until this worker can do something for the upload; undefined if it can do nothing. */
  #dueMs(upload: LiveUpload, now: number): number | undefined {
    const { record } = upload;
    if (upload.driving || (upload.isLeftToBrowser && !upload.ledger.isComplete)) return undefined;
    if (isActive(record)) return 0;
    if (owesAbort(record)) return Math.max(0, (this.#settleAt.get(upload.id) ?? 0) - now);
    const { dueAt } = upload;
    return dueAt === Number.POSITIVE_INFINITY ? undefined : Math.max(0, dueAt - now);
  }

  /** The verdict of the app's conditions on an upload that has bytes to move; undefined if it has none. */
  #checkConditions(record: UploadRecord): ConditionsCheck | undefined {
    const { conditions, state } = record;
    if (!conditions) return undefined;
    const isConcerned =
      state === "queued" || state === "uploading" || (state === "waiting" && record.reason === "conditions");
    const { clock, network } = this.#options.platform;
    return isConcerned
      ? checkConditions(conditions, {
          now: clock.now(),
          msOfDay: clock.msOfDay(),
          isMetered: isMetered(network.connection),
        })
      : undefined;
  }

  #waiting(...reasons: readonly string[]): LiveUpload[] {
    return this.#options.roster
      .unfinished()
      .filter(({ record }) => record.state === "waiting" && reasons.includes(record.reason));
  }

  /** One upload has found the way open, and so it is for all that wait for the same. */
  #onGateOpened(): void {
    for (const upload of this.#waiting("offline", "backoff")) upload.shortenWait();
    if (!this.#gates.isSignedOut) for (const upload of this.#waiting("auth")) upload.makeDue();
    this.startDueWork();
  }

  /** Writes one event for each of these uploads, which are left alone meanwhile. */
  #write(uploads: readonly LiveUpload[], eventOf: (upload: LiveUpload) => UploadEvent): void {
    if (uploads.length === 0) return;
    for (const upload of uploads) upload.isBeingWritten = true;
    this.#options.roster
      .applyAll(uploads, eventOf)
      .catch((error: unknown) => this.#failed(error))
      .finally(() => {
        for (const upload of uploads) upload.isBeingWritten = false;
        this.startDueWork();
      });
  }

  #start(upload: LiveUpload): void {
    upload.restart();
    this.#driven.add(upload);
    this.#publishEstimates();
    const work = owesAbort(upload.record) ? this.#settle(upload) : driveUpload(upload, this.#context);
    upload.driving = work
      .then(() => this.#rememberSpeed())
      .catch((error: unknown) => this.#failed(error))
      .finally(() => {
        upload.driving = undefined;
        this.#driven.delete(upload);
        const { record } = upload;
        if (isFinal(record) && !owesAbort(record)) this.#schedule();
        else this.startDueWork();
      });
  }

  /** Only the database fails like this. What is stored is safe there. */
  #failed(error: unknown): void {
    if (error instanceof UploadError && error.code === "QUOTA_EXCEEDED")
      this.#noRoomUntil = this.#options.platform.clock.elapsed() + NO_ROOM_MS;
    else this.#options.onFailure(error);
  }

  async #rememberSpeed(): Promise<void> {
    const { steadySpeed } = this.#context.pace;
    if (steadySpeed === null) return;
    const known = this.#knownSpeed ?? 0;
    if (Math.abs(steadySpeed - known) < known * TELLING_CHANGE) return;
    this.#knownSpeed = steadySpeed;
    // A disk that is full is no reason to stop: the speed is measured again next time.
    await this.#context.database.setPartSpeed(steadySpeed).catch(() => {});
  }

  async #settle(upload: LiveUpload): Promise<void> {
    const waitMs = await settleRemote(upload, this.#context);
    if (waitMs === undefined) this.#settleAt.delete(upload.id);
    else this.#settleAt.set(upload.id, this.#options.platform.clock.elapsed() + waitMs);
  }

  /** Tells pages of what moves, as long as something does. */
  #publishEstimates(): void {
    const { platform, roster } = this.#options;
    this.#undoEstimates ??= platform.clock.every(ESTIMATE_EVERY_MS, () => {
      let isMoving = false;
      for (const upload of roster.unfinished()) {
        isMoving ||= upload.driving !== undefined;
        if (upload.ledger.flyingParts.size > 0) roster.touch(upload);
      }
      if (isMoving) return;
      this.#undoEstimates?.();
      this.#undoEstimates = undefined;
    });
  }
}

/** Whether pages don't know yet which condition holds the upload back, and until when. */
function isNews(record: UploadRecord, { unmet, recheckAt }: ConditionsCheck): boolean {
  if (record.state !== "waiting") return true;
  return record.nextAttemptAt !== recheckAt || record.error.detail !== unmet;
}
