/** The states of an upload. The diagram, and what moves an upload on from each, is in `docs/states.md`. */
export type UploadState =
  | "queued"
  | "uploading"
  | "completing"
  | "paused"
  | "waiting"
  | "failed"
  | "canceled"
  | "done";

/**
 * Where an upload's bytes are kept.
 *
 * - `memory`: in the worker's memory only. The upload ends with the worker.
 * - `stored`: in a copy in IndexedDB.
 * - `handle`: in the file on disk, read by a handle that IndexedDB keeps. The handle works while the file does not change, and
 *   after a restart of the browser once the user allows it again.
 */
export type Durability = "memory" | "stored" | "handle";

/**
 * Why an upload waits although its user did not pause it:
 *
 * - `offline`: until the network is back.
 * - `backoff`: until `nextAttemptAt`.
 * - `auth`: until the user signs in.
 * - `file`: until `attach` or `requestPermission` makes its file readable.
 * - `conditions`: until the app's own conditions hold. `nextAttemptAt` is when the clock may change that.
 */
export type WaitingReason = "offline" | "backoff" | "auth" | "file" | "conditions";

/** Who paused an upload: the user in this app, or the user in the browser's own list of transfers. */
export type PauseReason = "user" | "browser";
