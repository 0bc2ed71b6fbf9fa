/** What outlives the worker: the port, its IndexedDB and its memory, and what stored rows must look like. */

export { openIdbDatabase } from "./idb-database.ts";
export type { UploadDatabase } from "./upload-database.ts";
