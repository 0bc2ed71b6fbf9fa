import type { DBSchema, IDBPDatabase } from "idb";
import type { PartRecord, UploadRecord } from "../src/core/upload.ts";

export interface BackhaulSchema extends DBSchema {
  uploads: { key: string; value: UploadRecord; indexes: { order: number } };
  parts: { key: [uploadId: string, partNumber: number]; value: PartRecord };
  bytes: { key: string; value: Blob };
}

export const DATABASE_VERSION = 1;

/** One step for each version, run in turn. Rows are converted, never dropped: somebody's only copy may be among them. */
export function migrate(database: IDBPDatabase<BackhaulSchema>, oldVersion: number): void {
  if (oldVersion < 1) {
    database.createObjectStore("uploads", { keyPath: "id" }).createIndex("order", "order");
    database.createObjectStore("parts", { keyPath: ["uploadId", "partNumber"] });
    // Apart from the uploads: copying a large file in takes seconds, and its transaction locks the whole store.
    database.createObjectStore("bytes");
  }
}
