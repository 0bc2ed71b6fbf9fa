/** What every binding is made of: the connection, kept for as long as somebody uses it, and what a list shows of an upload. */

export { type AddFilesOptions, addFiles } from "./add-files.ts";
export { actionsOf, LABELS, type Labels, run, shareOf, stateText } from "./describe.ts";
export { type Totals, totalsOf } from "./totals.ts";
export { CONNECTING, type UploadsSource, UploadsStore, type UploadsView } from "./uploads-store.ts";
