import type { UploadError, UploadErrorWire } from "./errors.ts";
import type { Durability, PauseReason, UploadState, WaitingReason } from "./states.ts";
import type { StoredObject } from "./storage.ts";

/** Who moves an upload's bytes. "worker": the worker, straight to S3. "browser": a background fetch, by way of the app's relay. */
export type Lane = "worker" | "browser";

/** A snapshot as it crosses to pages, where structured clone would lose an error's code. */
export interface WireSnapshot extends Omit<UploadSnapshot, "error"> {
  readonly error: UploadErrorWire | null;
}

/** One upload as pages see it at one moment. It never changes; after a change there is a new one. */
export interface UploadSnapshot {
  /** The upload's id, a UUID, as `add` returned it. */
  readonly id: string;
  /** Position in the queue; lower goes first. */
  readonly order: number;
  /** The object's key in the bucket: the server's once it has decided on one, until then the one given to `add`. */
  readonly key: string;
  /** The name that people see. */
  readonly name: string;
  /** The object's MIME type; "" where unknown. */
  readonly type: string;
  /** The file's size in bytes. */
  readonly size: number;
  /** Who was signed in when the file was added; "" for nobody. */
  readonly owner: string;
  /** Where the upload stands. The diagram is in `docs/states.md`. */
  readonly state: UploadState;
  /** Why nothing is sent, in `paused` and `waiting`; else null. */
  readonly reason: PauseReason | WaitingReason | null;
  /** Who moves the bytes now; null while nobody does. */
  readonly lane: Lane | null;
  /** Where the bytes are kept, and so what the upload survives. */
  readonly durability: Durability;
  /** Bytes that S3 has confirmed. */
  readonly uploadedBytes: number;
  /**
   * `uploadedBytes` and the share of the running parts that has probably left the device. For progress bars: it never goes
   * back, also when parts have to be sent again, unless S3 has dropped the upload, which then begins anew.
   */
  readonly estimatedBytes: number;
  /**
   * What this device sends, smoothed; parts that are found at S3 don't count. It falls to 0 when nothing arrives for longer than
   * usual. Null until known, and for what the browser carries.
   */
  readonly bytesPerSecond: number | null;
  /** Seconds left; null while unknown: at the beginning, when nothing arrives for longer than usual, and for what the browser carries. */
  readonly etaSeconds: number | null;
  /** Parts that S3 has confirmed. */
  readonly partsDone: number;
  /** Parts that the file is cut into; 1 for a single PUT. */
  readonly partsTotal: number;
  /** Bytes in each part but the last. */
  readonly partSize: number;
  /** Failed tries in a row. */
  readonly attempts: number;
  /** Failed tries of parts since the worker started, including parts that have arrived since. */
  readonly faults: number;
  /** Parts whose last try failed and that have not arrived since; at most 8. */
  readonly troubledParts: readonly PartTrouble[];
  /** When the upload goes on, in milliseconds since 1970, while it waits for a time; else null. */
  readonly nextAttemptAt: number | null;
  /** The last fault, in `failed` and `waiting`; else null. */
  readonly error: UploadError | null;
  /** When the file was added, in milliseconds since 1970. */
  readonly createdAt: number;
  /** When the upload was last written to the database, in milliseconds since 1970. */
  readonly updatedAt: number;
  /** The object as S3 holds it, in `done`; else null. */
  readonly object: StoredObject | null;
}

/** A part that has failed and has not arrived yet. */
export interface PartTrouble {
  /** From 1, as at S3. */
  readonly partNumber: number;
  /** Failed tries in a row. */
  readonly attempts: number;
  /** Why the last try failed. */
  readonly error: UploadErrorWire;
}
