import type { DBSchema, IDBPDatabase, IDBPTransaction, StoreNames } from "idb";
import type { Source } from "../../src/protocol/protocol.ts";
import type { PartRecord, UploadRecord } from "../model/index.ts";
import type { CopyHead } from "./stored-record.ts";

export interface BackhaulSchema extends DBSchema {
  uploads: { key: string; value: UploadRecord; indexes: { order: number } };
  parts: { key: [uploadId: string, partNumber: number]; value: PartRecord };
  /** By upload id: a handle, a file up to 8 MiB or its bytes, or the head of a larger one's copy. Version 2 kept all files here. */
  bytes: { key: string; value: Source | ArrayBuffer | CopyHead };
  /** The pieces of large files' copies. */
  chunks: { key: ChunkKey; value: Blob };
  /** `owner`: who was signed in last. `partSpeed`: bytes per second. `usesAuth`: pages give headers. */
  settings: { key: "owner" | "partSpeed" | "usesAuth"; value: string | number | boolean };
}

export type ChunkKey = [uploadId: string, copyId: string, index: number];

export const DATABASE_VERSION = 3;

type Upgrade = IDBPTransaction<BackhaulSchema, StoreNames<BackhaulSchema>[], "versionchange">;

/** One step for each version, run in turn. Rows are converted, never dropped: somebody's only copy may be among them. */
export async function migrate(
  database: IDBPDatabase<BackhaulSchema>,
  oldVersion: number,
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
    await convertRows(tx, "uploads", (row) => ({ ...UPLOAD_FIELDS_OF_2, ...row }));
    await convertRows(tx, "parts", (row) => ({ ...PART_FIELDS_OF_2, ...row }));
  }
  if (oldVersion < 3) {
    // Files stored whole by version 2 stay as they are and are still read: moving them would take as much room again.
    database.createObjectStore("chunks");
    await convertRows(tx, "uploads", withNamesOf3);
  }
}

type Row = Readonly<Record<string, unknown>>;

/** The fields that rows of version 1 lack. Some builds of it wrote a checksum already; fields that are there stay as they are. */
const UPLOAD_FIELDS_OF_2 = { checksum: "none", priority: 0, constraints: null } as const;
const PART_FIELDS_OF_2 = { checksum: null } as const;

const FIELDS_RENAMED_IN_3 = { laneWish: "laneOption", constraints: "conditions" } as const;
const ERROR_CODES_RENAMED_IN_3: ReadonlyMap<unknown, string> = new Map([
  ["CONSTRAINT", "CONDITIONS_UNMET"],
  ["SOURCE_CHANGED", "FILE_CHANGED"],
]);

function withNamesOf3(row: Row): Row {
  const renamed: Record<string, unknown> = { ...row };
  for (const [before, after] of Object.entries(FIELDS_RENAMED_IN_3)) {
    if (!(before in renamed)) continue;
    renamed[after] ??= renamed[before];
    delete renamed[before];
  }
  if (renamed.state === "waiting" && renamed.reason === "constraint") renamed.reason = "conditions";
  const { error } = renamed;
  if (typeof error === "object" && error !== null && "code" in error)
    renamed.error = { ...error, code: ERROR_CODES_RENAMED_IN_3.get(error.code) ?? error.code };
  return renamed;
}

async function convertRows(
  tx: Upgrade,
  store: "uploads" | "parts",
  convert: (row: Row) => Row,
): Promise<void> {
  for (let cursor = await tx.objectStore(store).openCursor(); cursor; cursor = await cursor.continue())
    await cursor.update(convert(cursor.value as unknown as Row) as never);
}
