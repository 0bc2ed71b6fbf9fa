import { MAX_PART_RANGES } from "../../src/core/part-ranges.ts";
import { MAX_BEGUN_TOGETHER, StorageFault, type UploadStorage } from "../../src/core/storage.ts";
import { compareTurns, type Queued, type UploadRecord } from "../model/index.ts";
import type { Clock } from "../platform/index.ts";
import { beginIntentOf, isDatabaseError } from "./drive-upload.ts";
import type { LiveUpload } from "./live-upload.ts";
import type { Roster } from "./roster.ts";
import type { Supervisor } from "./supervisor.ts";

/** Uploads that may be open at S3 at a time, those that move included: a page hands all of them over in one go as it closes. */
export const MOST_OPEN = MAX_PART_RANGES;
/** Uploads are added and end in crowds, and a look at thousands costs a millisecond. */
const LOOK_AFTER_MS = 100;
/** After a server that could not, or would not, begin one of them. Its turn comes all the same. */
const REST_MS = 60_000;

export interface BeginAheadOptions {
  readonly roster: Roster;
  readonly supervisor: Supervisor;
  readonly clock: Pick<Clock, "now" | "elapsed" | "after">;
  /** Whether a page is there which hands over to the browser as it closes. */
  readonly isKeeperThere: () => Promise<boolean>;
  /** The database has failed, and with it whatever rests on it. */
  readonly onFailure: (error: unknown) => void;
}

/**
 * Begins uploads before their turn, while a page lives that can hand them over: the browser carries only what is open at S3,
 * since nobody is there to begin an upload once the last page has gone. They go in the order of their turns, many by one request.
 */
export class BeginAhead {
  readonly #options: BeginAheadOptions;
  #isScheduled = false;
  #isRunning = false;
  /** By `clock.elapsed()`. */
  #restsUntil = 0;
  #hasStopped = false;

  constructor(options: BeginAheadOptions) {
    this.#options = options;
    options.roster.on("changed", () => this.check());
    options.roster.on("ended", () => this.check());
  }

  /** Something may be there to be begun, or may have made room; or a page has come. However often it is called, one look. */
  check(): void {
    if (this.#isScheduled || this.#hasStopped) return;
    this.#isScheduled = true;
    this.#options.clock.after(LOOK_AFTER_MS, () => {
      this.#isScheduled = false;
      // What is new is seen by the run under way.
      if (!this.#isRunning) void this.#look();
    });
  }

  stop(): void {
    this.#hasStopped = true;
  }

  async #look(): Promise<void> {
    if (this.#next().length === 0) return;
    this.#isRunning = true;
    try {
      await this.#run();
    } catch (error) {
      if (isDatabaseError(error)) this.#options.onFailure(error);
      else this.#rest();
    } finally {
      this.#isRunning = false;
    }
  }

  async #run(): Promise<void> {
    const { isKeeperThere, supervisor } = this.#options;
    const { storage } = supervisor;
    if (!storage.beginMany || !(await isKeeperThere())) return;
    for (let uploads = this.#next(); uploads.length > 0; uploads = this.#next()) {
      // Whoever drives uploads leaves these alone meanwhile.
      for (const upload of uploads) upload.isBeingWritten = true;
      try {
        if (!(await this.#begin(uploads, storage))) return this.#rest();
      } finally {
        for (const upload of uploads) upload.isBeingWritten = false;
        supervisor.startDueWork();
      }
    }
  }

  /** Returns whether all that were asked for have begun. */
  async #begin(chosen: readonly LiveUpload[], storage: UploadStorage): Promise<boolean> {
    const { roster } = this.#options;
    // Written before the request goes out: should this worker die over it, the next one knows that something may be open.
    await roster.applyAll(chosen, () => ({ type: "beginning" }));
    // Meanwhile users may have paused or canceled one, or left.
    const uploads = chosen.filter((upload) => upload.record.state === "queued" && roster.isOwn(upload));
    if (!this.#mayBegin || uploads.length === 0) return false;
    const intents = uploads.map(({ record }) => beginIntentOf(record, null));
    const askedAt = this.#options.clock.now();
    const outcomes = (await storage.beginMany?.(intents)) ?? [];
    const begun = uploads.flatMap((upload, index) => {
      const outcome = outcomes[index];
      return outcome === undefined || outcome instanceof StorageFault ? [] : [{ upload, ...outcome }];
    });
    for (const { upload, token, signed = [] } of begun) upload.begun(token, { parts: signed, askedAt });
    await roster.applyAll(
      begun.map(({ upload }) => upload),
      (_upload, index) => {
        const { token = "", key = "" } = begun[index] ?? {};
        return { type: "begun", token, key };
      },
    );
    return begun.length > 0 && begun.length === outcomes.length;
  }

  /** The uploads whose turn comes next, as many as one request may begin. */
  #next(): LiveUpload[] {
    if (!this.#mayBegin) return [];
    const unfinished = this.#options.roster.unfinished();
    const open = unfinished.filter(({ record }) => "remote" in record && record.remote.at === "open");
    const room = Math.min(MOST_OPEN - open.length, MAX_BEGUN_TOGETHER);
    return unfinished
      .filter((upload) => !upload.driving && !upload.isBeingWritten && canBeBegunAhead(upload.record))
      .sort((a, b) => compareTurns(a.record, b.record))
      .slice(0, Math.max(0, room));
  }

  get #mayBegin(): boolean {
    const { supervisor, clock } = this.#options;
    return !this.#hasStopped && supervisor.isWayOpen && clock.elapsed() >= this.#restsUntil;
  }

  #rest(): void {
    const { clock } = this.#options;
    this.#restsUntil = clock.elapsed() + REST_MS;
    clock.after(REST_MS, () => this.check());
  }
}

/** What the browser may carry at any time, and what nobody has tried to begin before: that is looked up by its driver. */
function canBeBegunAhead(record: UploadRecord): record is Queued {
  return (
    record.state === "queued" &&
    record.remote.at === "none" &&
    record.laneOption !== "worker" &&
    record.conditions === null &&
    record.attempts === 0
  );
}
