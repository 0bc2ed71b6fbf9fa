import { type PartRange, partNumbersOf } from "../../src/core/part-ranges.ts";
import type { Lane } from "../../src/core/snapshot.ts";
import type { PartReceipt } from "../../src/core/storage.ts";
import type { Parcel } from "../../src/protocol/protocol.ts";
import type { UploadDatabase } from "../database/upload-database.ts";
import { openBytes } from "../files/sources.ts";
import { canBecomeUnmet } from "../model/conditions.ts";
import { now } from "../platform/clock.ts";
import type { LiveUpload } from "./live-upload.ts";
import type { Roster } from "./roster.ts";
import type { Supervisor } from "./supervisor.ts";

/** What the browser's own transfers may carry, carry, and have brought. */
export class HandedOverUploads {
  readonly #roster: Roster;
  readonly #supervisor: Supervisor;
  readonly #store: UploadDatabase;

  constructor(roster: Roster, supervisor: Supervisor, store: UploadDatabase) {
    this.#roster = roster;
    this.#supervisor = supervisor;
    this.#store = store;
  }

  /** Whether the app wants the browser to move this upload's bytes, with or without a page. */
  wishesBrowser(id: string): boolean {
    return this.#roster.visible(id)?.record.laneOption === "browser";
  }

  /** Whether it belongs to somebody who is not signed in now. */
  isForeign(id: string): boolean {
    const run = this.#roster.get(id);
    return run !== undefined && !this.#roster.isOwn(run);
  }

  /** What could be left to the browser now: whatever is open at S3 and neither ended nor paused. */
  async parcels(): Promise<Parcel[]> {
    const parcels: Parcel[] = [];
    for (const run of this.#roster.own()) {
      const { record, ledger } = run;
      if (record.laneOption === "worker" || isLeftToBrowser(run)) continue;
      // The browser would go on over any network, at any time.
      if (record.conditions && canBecomeUnmet(record.conditions)) continue;
      if ((record.state !== "uploading" && record.state !== "waiting") || record.remote.at !== "open")
        continue;
      run.bytes ??= await openBytes(this.#store, record).catch(() => undefined);
      if (!run.bytes) continue;
      const done = ledger.receipts().map(({ partNumber }) => partNumber);
      const { plan, laneOption, remote } = record;
      parcels.push({
        id: run.id,
        token: remote.token,
        plan,
        bytes: run.bytes,
        done,
        isImmediate: laneOption === "browser",
      });
    }
    return parcels;
  }

  /** The relay has stored parts. */
  async confirmParts(id: string, token: string, receipts: readonly PartReceipt[]): Promise<void> {
    const run = this.#roster.get(id);
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
    this.#supervisor.progressed(
      run,
      news.map(({ partNumber }) => partNumber),
    );
    run.onConfirmed();
    this.#supervisor.look();
  }

  /** Somebody else may have stored parts of these runs; they are looked up before they are sent. */
  async doubtRuns(runs: readonly PartRange[]): Promise<void> {
    for (const { uploadId, ...stretch } of runs) {
      const run = this.#roster.get(uploadId);
      if (run?.record.state !== "uploading") continue;
      const { ledger } = run;
      const doubtful = partNumbersOf(stretch).filter(
        (part) => part <= ledger.plan.partCount && !ledger.isDone(part) && !ledger.flyingParts.has(part),
      );
      await this.#store.claimParts(uploadId, run.record.remote.token, doubtful);
      for (const partNumber of doubtful) if (!ledger.isDone(partNumber)) ledger.doubt(partNumber, now());
    }
    this.#supervisor.look();
  }

  setLane(ids: readonly string[], lane: Lane): void {
    for (const id of ids) {
      const run = this.#roster.get(id);
      if (!run) continue;
      if (lane !== run.lane) this.#roster.trace({ type: "lane", id, lane });
      run.lane = lane;
      if (isLeftToBrowser(run)) run.halt();
      this.#roster.touch(run);
    }
    this.#supervisor.look();
  }
}

/** The worker has nothing to do for it but to take in what the browser has done. */
export function isLeftToBrowser({ record, lane }: LiveUpload): boolean {
  return record.laneOption === "browser" && record.state === "uploading" && lane === "browser";
}
