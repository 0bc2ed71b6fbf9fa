/** The upload database: its port, the implementations in IndexedDB and in memory, and the shape of stored rows. */

export { openIdbDatabase } from "./idb-database.ts";
export type { UploadDatabase } from "./upload-database.ts";
