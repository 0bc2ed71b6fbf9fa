import { type PartRange, partNumbersOf } from "../../src/core/part-ranges.ts";
import type { Lane } from "../../src/core/snapshot.ts";
import type { PartReceipt } from "../../src/core/storage.ts";
import type { TraceStep } from "../../src/core/trace.ts";
import { type HandOverCandidate, tokenMark } from "../../src/protocol/protocol.ts";
import type { UploadDatabase } from "../database/index.ts";
import { openBytes } from "../files/index.ts";
import { canBecomeUnmet, isFinal } from "../model/index.ts";
import type { Clock } from "../platform/index.ts";
import type { LiveUpload } from "./live-upload.ts";
import type { Roster } from "./roster.ts";
import type { Supervisor } from "./supervisor.ts";

export interface HandedOverOptions {
  readonly roster: Roster;
  readonly supervisor: Supervisor;
  readonly database: UploadDatabase;
  readonly clock: Pick<Clock, "elapsed">;
  readonly trace: (step: TraceStep) => void;
}

/** The uploads that the browser's own transfers may carry, carry, or have brought to S3. */
export class HandedOverUploads {
  readonly #options: HandedOverOptions;

  constructor(options: HandedOverOptions) {
    this.#options = options;
  }

  /** Whether the app wants the browser to move this upload's bytes, with or without a page. */
  prefersBrowser(id: string): boolean {
    return this.#options.roster.visible(id)?.record.laneOption === "browser";
  }

  /** Whether the upload belongs to somebody who is not signed in now. */
  isForeign(id: string): boolean {
    const { roster } = this.#options;
    const upload = roster.get(id);
    return upload !== undefined && !roster.isOwn(upload);
  }

  /** Whether nothing is to be sent of the upload. */
  isResting(id: string): boolean {
    const record = this.#options.roster.get(id)?.record;
    return record !== undefined && (record.state === "paused" || isFinal(record));
  }

  /**
   * The uploads that a page could hand over now: open at S3, and neither ended nor paused.
   *
   * @param known those left out, by `tokenMark`
   */
  async candidates(known: readonly string[]): Promise<HandOverCandidate[]> {
    const { roster, database } = this.#options;
    const isKnown = new Set(known);
    const candidates = roster.unfinished().map(async (upload): Promise<HandOverCandidate | undefined> => {
      const { record, ledger, id } = upload;
      if (record.laneOption === "worker" || upload.isLeftToBrowser) return undefined;
      // The browser would go on over any network, at any time.
      if (record.conditions && canBecomeUnmet(record.conditions)) return undefined;
      if ((record.state !== "uploading" && record.state !== "waiting") || record.remote.at !== "open")
        return undefined;
      const { plan, laneOption, remote } = record;
      if (isKnown.has(tokenMark(remote.token))) return undefined;
      upload.bytes ??= await openBytes(database, record).catch(() => undefined);
      const { bytes } = upload;
      if (!bytes) return undefined;
      const done = ledger.receipts().map(({ partNumber }) => partNumber);
      return { id, token: remote.token, plan, bytes, done, isImmediate: laneOption === "browser" };
    });
    return (await Promise.all(candidates)).filter((candidate) => candidate !== undefined);
  }

  /** The relay has stored parts. */
  async partsArrived(id: string, token: string, receipts: readonly PartReceipt[]): Promise<void> {
    const { roster, database, supervisor } = this.#options;
    const upload = roster.get(id);
    if (!upload) return;
    const { record, ledger } = upload;
    if (!("remote" in record) || record.remote.at !== "open" || record.remote.token !== token) return;
    const news = receipts
      .filter(({ partNumber }) => partNumber <= record.plan.partCount && !ledger.isDone(partNumber))
      // The relay's digest is of the bytes that it got. The file's own are compared before the end.
      .map((receipt) => ({ ...receipt, checksum: null }));
    if (news.length === 0) return;
    await database.partsDone(id, token, news);
    for (const receipt of news) upload.partFound(receipt);
    tryUnattended(upload);
    supervisor.progressed(
      id,
      news.map(({ partNumber }) => partNumber),
    );
    upload.confirmedElsewhere();
    supervisor.startDueWork();
  }

  /**
   * Somebody else may have stored parts of these ranges; they are looked up before they are sent.
   *
   * @param inMs when to look them up, in milliseconds: before, it would come too early
   */
  async rangesInDoubt(ranges: readonly PartRange[], inMs = 0): Promise<void> {
    const { roster, database, supervisor, clock } = this.#options;
    const dueAt = clock.elapsed() + inMs;
    const writes: { readonly id: string; readonly token: string; readonly partNumbers: readonly number[] }[] =
      [];
    // The ledgers in memory come first, all of them: while the database is written, a part may be started, or come back
    // unsent, and a write may fail.
    for (const { uploadId, ...range } of ranges) {
      const upload = roster.get(uploadId);
      if (!upload) continue;
      const { record } = upload;
      if (!("remote" in record) || record.remote.at !== "open") continue;
      const partNumbers = partNumbersOf(range).filter((part) => part <= record.plan.partCount);
      // A part that is done is written too: its receipt may have found the disk full.
      for (const partNumber of partNumbers) upload.ledger.suspect(partNumber, dueAt);
      upload.confirmedElsewhere();
      writes.push({ id: uploadId, token: record.remote.token, partNumbers });
      tryUnattended(upload);
    }
    for (const { id, token, partNumbers } of writes) await database.doubtParts(id, token, partNumbers);
    supervisor.startDueWork();
  }

  /** Notes who moves the bytes of these uploads from now on. */
  setLane(ids: readonly string[], lane: Lane): void {
    const { roster, supervisor, trace } = this.#options;
    for (const id of ids) {
      const upload = roster.get(id);
      if (!upload) continue;
      if (lane !== upload.lane) trace({ type: "lane", id, lane });
      upload.lane = lane;
      // Parts that are on their way would be sent twice if they were broken off.
      if (upload.isLeftToBrowser) upload.leavesRest = true;
      roster.touch(upload);
    }
    supervisor.startDueWork();
  }
}

/** What waits for its user to send bytes may need none any more, now that no byte is left to send. */
function tryUnattended(upload: LiveUpload): void {
  const { record, ledger } = upload;
  if (record.state !== "waiting" || record.reason !== "auth") return;
  if (upload.needsNoUser && !ledger.hasPending) upload.makeDue();
}
