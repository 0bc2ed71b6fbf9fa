import { type IDBPObjectStore, type StoreNames, unwrap } from "idb";
import type { PartRecord, UploadRecord } from "../model/index.ts";
import { applyEvents, claimOf, isOpenUnder, isSendingUnder, recordsToAdd } from "./conditional-writes.ts";
import { openConnection, type WriteTransaction } from "./idb-connection.ts";
import { idbFileCopies } from "./idb-file-copies.ts";
import type { BackhaulSchema } from "./migrations.ts";
import { isPartRecord, isUploadRecord } from "./stored-record.ts";
import type { Applied, EventOfUpload, UploadDatabase } from "./upload-database.ts";

const ROWS = ["uploads", "parts"] as const;

export interface IdbPlatform {
  readonly clock: { now(): number };
  uuid(): string;
}

/**
 * The upload database in IndexedDB.
 *
 * @throws {UploadError} `DATABASE_UNAVAILABLE`, `DATABASE_TOO_NEW`
 */
export async function openIdbDatabase(name: string, { clock, uuid }: IdbPlatform): Promise<UploadDatabase> {
  const connection = await openConnection(name);

  const setting = (key: Setting): Promise<unknown> =>
    connection.read(["settings"], (tx) => tx.objectStore("settings").get(key));

  const setSetting = (key: Setting, value: string | number | boolean): Promise<void> =>
    connection.writeRows(["settings"], async (tx) => {
      await tx.objectStore("settings").put(value, key);
    });

  /** On condition that the upload is still the one open at S3 under `token`. */
  function writeIfOpen(
    id: string,
    token: string,
    work: (parts: PartStore) => Promise<unknown>[],
  ): Promise<void> {
    return connection.writeRows(ROWS, async (tx) => {
      const [record] = await recordsFound(tx, [id]);
      if (isOpenUnder(record, token)) await Promise.all(work(tx.objectStore("parts")));
    });
  }

  /** Events that no transaction has been begun for: all of them are read and written together. */
  let coming: EventBatch | undefined;

  async function apply(events: readonly EventOfUpload[]): Promise<readonly Applied[]> {
    coming ??= { events: [], applied: undefined };
    const batch = coming;
    const first = batch.events.length;
    batch.events.push(...events);
    const close = () => {
      if (coming === batch) coming = undefined;
    };
    batch.applied ??= connection
      .writeRows(ROWS, (tx) => {
        close();
        return applyIn(tx, batch.events, clock.now());
      })
      // Where no transaction could be begun, the next events are not to share the failure.
      .finally(close);
    return (await batch.applied).slice(first, first + events.length);
  }

  return {
    async owner() {
      const owner = await setting("owner");
      return typeof owner === "string" ? owner : "";
    },
    setOwner: (owner) => setSetting("owner", owner),
    async partSpeed() {
      const speed = await setting("partSpeed");
      return typeof speed === "number" && speed > 0 ? speed : null;
    },
    setPartSpeed: (bytesPerSecond) => setSetting("partSpeed", bytesPerSecond),
    usesAuth: async () => (await setting("usesAuth")) === true,
    setUsesAuth: (usesAuth) => setSetting("usesAuth", usesAuth),

    all: () =>
      connection.read(["uploads"], async (tx) => {
        const uploads = tx.objectStore("uploads");
        // Rows are read by their keys, since rows of another version may lack the field that the index is
        // made of.
        const [ids, rows] = await Promise.all([uploads.getAllKeys(), uploads.getAll()]);
        const records = rows.filter(isUploadRecord).sort((a, b) => a.order - b.order);
        const readable = new Set(records.map(({ id }) => id));
        return { records, unreadableIds: ids.filter((id) => !readable.has(id)) };
      }),

    add: (records) =>
      connection.writeRows(["uploads"], async (tx) => {
        const uploads = tx.objectStore("uploads");
        const [last, keys] = await Promise.all([
          uploads.index("order").openKeyCursor(IDBKeyRange.bound(0, Number.MAX_SAFE_INTEGER), "prev"),
          Promise.all(records.map(({ id }) => uploads.getKey(id))),
        ]);
        const stored = new Set(keys.filter((key) => key !== undefined));
        const added = recordsToAdd(records, stored, last?.key ?? 0);
        for (const record of added) unwrap(uploads).add(record);
        return added;
      }),

    apply,

    parts: (id) =>
      connection.read(["parts"], async (tx) =>
        (await tx.objectStore("parts").getAll(partsOf(id))).filter(isPartRecord),
      ),

    allParts: () =>
      connection.read(["parts"], async (tx) => {
        const byUpload = new Map<string, PartRecord[]>();
        // Sorted by upload, then by part number: that is their key.
        for (const part of (await tx.objectStore("parts").getAll()).filter(isPartRecord)) {
          const own = byUpload.get(part.uploadId);
          if (own) own.push(part);
          else byUpload.set(part.uploadId, [part]);
        }
        return byUpload;
      }),

    claimParts: (id, token, partNumbers) =>
      connection.writeRows(ROWS, async (tx) => {
        const [record] = await recordsFound(tx, [id]);
        if (!isSendingUnder(record, token)) return false;
        const parts = tx.objectStore("parts");
        await Promise.all(partNumbers.map((partNumber) => parts.put(claimOf(id, partNumber))));
        return true;
      }),

    doubtParts: (id, token, partNumbers) =>
      writeIfOpen(id, token, (parts) =>
        partNumbers.map(async (partNumber) => {
          const row = await parts.get([id, partNumber]);
          if (row?.state !== "done") await parts.put(claimOf(id, partNumber));
        }),
      ),

    partsDone: (id, token, receipts) =>
      writeIfOpen(id, token, (parts) =>
        receipts.map((receipt) => parts.put({ uploadId: id, state: "done", ...receipt })),
      ),

    unclaimParts: (id, token, partNumbers) =>
      writeIfOpen(id, token, (parts) => partNumbers.map((partNumber) => parts.delete([id, partNumber]))),

    ...idbFileCopies(connection, uuid),

    close: () => connection.close(),
    onClosed: (listener) => connection.onClosed(listener),
  };
}

interface EventBatch {
  readonly events: EventOfUpload[];
  applied: Promise<readonly Applied[]> | undefined;
}

type Setting = BackhaulSchema["settings"]["key"];
type PartStore = IDBPObjectStore<BackhaulSchema, StoreNames<BackhaulSchema>[], "parts", "readwrite">;

/** The rows among them that are stored and can be read. */
async function recordsFound(tx: WriteTransaction, ids: readonly string[]): Promise<UploadRecord[]> {
  const uploads = tx.objectStore("uploads");
  // In Chromium to read all rows at once takes about a third of the time that one request for each takes.
  const isMost = ids.length > 50 && ids.length * 3 > (await uploads.count());
  const rows = isMost ? await uploads.getAll() : await Promise.all(ids.map((id) => uploads.get(id)));
  return rows.filter((row) => isUploadRecord(row));
}

async function applyIn(
  tx: WriteTransaction,
  events: readonly EventOfUpload[],
  now: number,
): Promise<readonly Applied[]> {
  const found = await recordsFound(tx, [...new Set(events.map(({ id }) => id))]);
  const stored = new Map(found.map((record) => [record.id, record]));
  const applied = applyEvents(stored, events, now);
  const parts = tx.objectStore("parts");
  // Should one of these fail, so does the transaction. A promise for each would take longer than the writes.
  const [rawUploads, rawParts] = [unwrap(tx.objectStore("uploads")), unwrap(parts)];
  for (const [id, record] of applied.records) {
    if (record) rawUploads.put(record);
    else rawUploads.delete(id);
  }
  for (const id of applied.withoutParts) rawParts.delete(partsOf(id));
  for (const id of applied.withDoubtfulParts) await makeDoubtful(parts, id);
  return applied.results;
}

async function makeDoubtful(parts: PartStore, id: string): Promise<void> {
  for (let cursor = await parts.openCursor(partsOf(id)); cursor; cursor = await cursor.continue())
    await cursor.update(claimOf(id, cursor.value.partNumber));
}

function partsOf(id: string): IDBKeyRange {
  return IDBKeyRange.bound([id, 0], [id, Number.MAX_SAFE_INTEGER]);
}
