import type { PartRecord, UploadRecord } from "../model/index.ts";
import { transition } from "../model/index.ts";
import type { Applied, EventOfUpload } from "./upload-database.ts";

/** The writes of every upload database, as functions of the rows that were read in the same transaction. */

export interface AppliedEvents {
  readonly results: readonly Applied[];
  /** Rows to write, by id; undefined for one to delete. */
  readonly records: ReadonlyMap<string, UploadRecord | undefined>;
  /** Uploads whose parts are to be deleted. */
  readonly withoutParts: ReadonlySet<string>;
  /** Uploads whose parts all become claims again: S3 may have them or not. */
  readonly withDoubtfulParts: ReadonlySet<string>;
}

/**
 * Runs the state machine.
 *
 * @param stored the records found, by id
 * @param now milliseconds since 1970
 */
export function applyEvents(
  stored: ReadonlyMap<string, UploadRecord>,
  events: readonly EventOfUpload[],
  now: number,
): AppliedEvents {
  const records = new Map<string, UploadRecord | undefined>();
  const withoutParts = new Set<string>();
  const withDoubtfulParts = new Set<string>();
  const results = events.map(({ id, event }): Applied => {
    const before = records.has(id) ? records.get(id) : stored.get(id);
    if (!before) return { record: undefined, effects: [] };
    const [after, effects] = transition(before, event, now);
    const record = effects.includes("deleteRecord") ? undefined : after;
    if (record !== before) records.set(id, record);
    if (effects.includes("deleteParts")) withoutParts.add(id);
    if (effects.includes("doubtParts")) withDoubtfulParts.add(id);
    return { record, effects };
  });
  return { results, records, withoutParts, withDoubtfulParts };
}

/** The records that are to be added, each once, with the `order` that puts them after all others. */
export function recordsToAdd(
  records: readonly UploadRecord[],
  storedIds: ReadonlySet<string>,
  lastOrder: number,
): readonly UploadRecord[] {
  const byId = new Map<string, UploadRecord>();
  for (const record of records)
    if (!storedIds.has(record.id) && !byId.has(record.id))
      byId.set(record.id, { ...record, order: lastOrder + byId.size + 1 });
  return [...byId.values()];
}

/** Whether the upload is still the one that is open at S3 under this token. */
export function isOpenUnder(record: UploadRecord | undefined, token: string): record is UploadRecord {
  return (
    record !== undefined && "remote" in record && record.remote.at === "open" && record.remote.token === token
  );
}

/** Whether parts may be claimed, to be sent under this token. */
export function isSendingUnder(record: UploadRecord | undefined, token: string): boolean {
  return isOpenUnder(record, token) && record.state === "uploading";
}

/** A part as it is noted before its PUT goes out. */
export function claimOf(uploadId: string, partNumber: number): PartRecord {
  return { uploadId, partNumber, state: "sending" };
}
