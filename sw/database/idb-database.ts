import { type IDBPDatabase, type IDBPTransaction, openDB, type StoreNames } from "idb";
import { UploadError } from "../../src/core/errors.ts";
import { type Effect, transition, type UploadRecord } from "../model/index.ts";
import type { Clock } from "../platform/index.ts";
import { type BackhaulSchema, DATABASE_VERSION, migrate } from "./migrations.ts";
import { isPartRecord, isUploadRecord } from "./stored-record.ts";
import type { UploadDatabase } from "./upload-database.ts";

const MOST_TRIES = 4;

type WriteTransaction = IDBPTransaction<BackhaulSchema, StoreNames<BackhaulSchema>[], "readwrite">;

/**
 * The one file that opens IndexedDB.
 *
 * @throws {UploadError} `DATABASE_UNAVAILABLE`, `DATABASE_TOO_NEW`
 */
export async function openIdbDatabase(name: string, clock: Pick<Clock, "now">): Promise<UploadDatabase> {
  const database = await open(name);

  /**
   * Runs `work` in one transaction over records and parts. Bytes stay out of it: their writes take seconds. Chromium refuses
   * for lack of room what is written at the same moment as a copy that is too large, however little it is; so it runs again.
   */
  async function write<T>(work: (tx: WriteTransaction) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++)
      try {
        return await writeOnce(work);
      } catch (error) {
        if (tries === MOST_TRIES || !isDomException(error, "QuotaExceededError")) throw storageError(error);
      }
  }

  async function writeOnce<T>(work: (tx: WriteTransaction) => Promise<T>): Promise<T> {
    const tx = database.transaction(["uploads", "parts"], "readwrite") as WriteTransaction;
    try {
      const result = await work(tx);
      await tx.done;
      return result;
    } catch (error) {
      // Whatever went wrong inside, nothing of it may be kept. It may have been aborted by itself already.
      tx.done.catch(() => {});
      try {
        tx.abort();
      } catch {}
      throw error;
    }
  }

  async function find(tx: WriteTransaction, id: string): Promise<UploadRecord | undefined> {
    const row = await tx.objectStore("uploads").get(id);
    return isUploadRecord(row) ? row : undefined;
  }

  /** As `write`, on condition that the upload is still the one open at S3 under `token`. */
  function writeIfOpen<T>(
    id: string,
    token: string,
    work: (tx: WriteTransaction, record: UploadRecord) => Promise<T>,
  ): Promise<T | undefined> {
    return write(async (tx) => {
      const record = await find(tx, id);
      if (!record || !("remote" in record) || record.remote.at !== "open" || record.remote.token !== token)
        return undefined;
      return work(tx, record);
    });
  }

  return {
    async owner() {
      const owner: unknown = await database.get("settings", "owner");
      return typeof owner === "string" ? owner : "";
    },

    async setOwner(owner) {
      await database.put("settings", owner, "owner");
    },

    async partSpeed() {
      const speed: unknown = await database.get("settings", "partSpeed");
      return typeof speed === "number" && speed > 0 ? speed : null;
    },

    async setPartSpeed(bytesPerSecond) {
      await database.put("settings", bytesPerSecond, "partSpeed");
    },

    async all() {
      const rows = await database.getAllFromIndex("uploads", "order");
      const records = rows.filter(isUploadRecord);
      if (records.length < rows.length)
        console.warn(
          `backhaul: ${rows.length - records.length} stored uploads are not readable and are left alone.`,
        );
      return records;
    },

    add(records) {
      return write(async (tx) => {
        const uploads = tx.objectStore("uploads");
        const last = await uploads.index("order").openKeyCursor(null, "prev");
        let order = last ? last.key : 0;
        const added: UploadRecord[] = [];
        for (const record of records) {
          if ((await uploads.getKey(record.id)) !== undefined) continue;
          order += 1;
          const ordered = { ...record, order };
          await uploads.add(ordered);
          added.push(ordered);
        }
        return added;
      });
    },

    apply(id, event) {
      return write(async (tx) => {
        const before = await find(tx, id);
        if (!before) return undefined;
        const [after, effects] = transition(before, event, clock.now());
        const uploads = tx.objectStore("uploads");
        const deleted = effects.includes("deleteRecord");
        if (deleted) await uploads.delete(id);
        else if (after !== before) await uploads.put(after);
        await applyToParts(tx, id, effects);
        return { record: deleted ? undefined : after, effects };
      });
    },

    async parts(id) {
      const rows = await database.getAll("parts", allPartsOf(id));
      return rows.filter(isPartRecord);
    },

    async claimParts(id, token, partNumbers) {
      const claimed = await writeIfOpen(id, token, async (tx, record) => {
        if (record.state !== "uploading") return false;
        const parts = tx.objectStore("parts");
        await Promise.all(
          partNumbers.map((partNumber) => parts.put({ uploadId: id, partNumber, state: "sending" })),
        );
        return true;
      });
      return claimed ?? false;
    },

    partsDone(id, token, receipts) {
      return writeIfOpen(id, token, async (tx) => {
        const parts = tx.objectStore("parts");
        await Promise.all(receipts.map((receipt) => parts.put({ uploadId: id, state: "done", ...receipt })));
      });
    },

    unclaimParts(id, token, partNumbers) {
      return writeIfOpen(id, token, async (tx) => {
        const parts = tx.objectStore("parts");
        await Promise.all(partNumbers.map((partNumber) => parts.delete([id, partNumber])));
      });
    },

    bytes: (id) => database.get("bytes", id),

    async putBytes(id, source) {
      try {
        await database.put("bytes", source, id);
      } catch (error) {
        throw storageError(error);
      }
    },

    deleteBytes: (id) => database.delete("bytes", id),
    bytesIds: () => database.getAllKeys("bytes"),
  };
}

async function applyToParts(tx: WriteTransaction, id: string, effects: readonly Effect[]): Promise<void> {
  const parts = tx.objectStore("parts");
  if (effects.includes("deleteParts")) await parts.delete(allPartsOf(id));
  else if (effects.includes("doubtParts"))
    for (let cursor = await parts.openCursor(allPartsOf(id)); cursor; cursor = await cursor.continue())
      await cursor.update({ uploadId: id, partNumber: cursor.value.partNumber, state: "sending" });
}

function allPartsOf(id: string): IDBKeyRange {
  return IDBKeyRange.bound([id, 0], [id, Number.MAX_SAFE_INTEGER]);
}

async function open(name: string): Promise<IDBPDatabase<BackhaulSchema>> {
  try {
    const database = await openDB<BackhaulSchema>(name, DATABASE_VERSION, {
      upgrade: migrate,
      // A newer worker wants to migrate: don't stand in its way. Whatever is asked of this one from then on fails.
      blocking: (_current, _blocked, event) => (event.target as IDBDatabase).close(),
    });
    return database;
  } catch (cause) {
    throw isDomException(cause, "VersionError")
      ? new UploadError("DATABASE_TOO_NEW", undefined, { cause })
      : new UploadError("DATABASE_UNAVAILABLE", String(cause), { cause });
  }
}

/** What a failed write means to the user. */
function storageError(error: unknown): unknown {
  if (isDomException(error, "QuotaExceededError"))
    return new UploadError("QUOTA_EXCEEDED", undefined, { cause: error });
  // The file on disk was changed or deleted while it was being copied.
  if (
    isDomException(error, "NotReadableError") ||
    isDomException(error, "NotFoundError") ||
    isDomException(error, "DataError")
  )
    return new UploadError("FILE_CHANGED", undefined, { cause: error });
  return error;
}

function isDomException(value: unknown, name: string): boolean {
  return value instanceof DOMException && value.name === name;
}
