import type { DBSchema, IDBPDatabase, IDBPTransaction, StoreNames } from "idb";
import type { Source } from "../../src/protocol/protocol.ts";
import type { PartRecord, UploadRecord } from "../model/index.ts";

export interface BackhaulSchema extends DBSchema {
  uploads: { key: string; value: UploadRecord; indexes: { order: number } };
  parts: { key: [uploadId: string, partNumber: number]; value: PartRecord };
  bytes: { key: string; value: Source };
  /** `owner`: who was signed in last. `partSpeed`: bytes per second. */
  settings: { key: "owner" | "partSpeed"; value: string | number };
}

export const DATABASE_VERSION = 2;

type Upgrade = IDBPTransaction<BackhaulSchema, StoreNames<BackhaulSchema>[], "versionchange">;

/** One step for each version, run in turn. Rows are converted, never dropped: somebody's only copy may be among them. */
export async function migrate(
  database: IDBPDatabase<BackhaulSchema>,
  oldVersion: number,
  _newVersion: number | null,
  tx: Upgrade,
): Promise<void> {
  if (oldVersion < 1) {
    database.createObjectStore("uploads", { keyPath: "id" }).createIndex("order", "order");
    database.createObjectStore("parts", { keyPath: ["uploadId", "partNumber"] });
    // Apart from the uploads: copying a large file in takes seconds, and its transaction locks the whole store.
    database.createObjectStore("bytes");
  }
  if (oldVersion < 2) {
    database.createObjectStore("settings");
    await addFields(tx, "uploads", UPLOAD_FIELDS_OF_2);
    await addFields(tx, "parts", PART_FIELDS_OF_2);
  }
}

/** Some builds of version 1 wrote a checksum already. */
const UPLOAD_FIELDS_OF_2 = { checksum: "none", priority: 0, conditions: null } as const;
const PART_FIELDS_OF_2 = { checksum: null } as const;

/** Fields that a row has already stay as they are. */
async function addFields(tx: Upgrade, store: "uploads" | "parts", fields: object): Promise<void> {
  for (let cursor = await tx.objectStore(store).openCursor(); cursor; cursor = await cursor.continue())
    await cursor.update({ ...fields, ...cursor.value });
}
