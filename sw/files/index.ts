/** The files behind uploads: read from what a page gave, copied into the database, read again after a restart. */

export { durabilityOf, FileCopies } from "./file-copies.ts";
export { type FileHolder, openBytes, openSource, withBytes } from "./sources.ts";
