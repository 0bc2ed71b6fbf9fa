/**
 * The upload database, which outlives the worker: the port, its implementations in IndexedDB and in memory,
 * and the schema of stored rows.
 */

export { openIdbDatabase } from "./idb-database.ts";
export type { UploadDatabase } from "./upload-database.ts";
