import type { UploadError, UploadErrorWire } from "./errors.ts";
import type { Durability, PauseReason, UploadState, WaitingReason } from "./states.ts";
import type { StoredObject } from "./storage.ts";

/** "worker": straight to S3. "browser": left to the browser's own transfers, by the app's relay. */
export type Lane = "worker" | "browser";

/** One upload as it crosses to pages. */
export interface WireSnapshot extends Omit<UploadSnapshot, "error"> {
  readonly error: UploadErrorWire | null;
}

/** One upload as pages see it. Each change gives a new one. */
export interface UploadSnapshot {
  readonly id: string;
  /** Position in the queue; lower goes first. */
  readonly order: number;
  readonly key: string;
  readonly name: string;
  /** MIME type, "" where unknown. */
  readonly type: string;
  /** Bytes. */
  readonly size: number;
  /** Who was signed in when it was added; "" for nobody. */
  readonly owner: string;
  readonly state: UploadState;
  /** Why it rests, in `paused` and `waiting`; else null. */
  readonly reason: PauseReason | WaitingReason | null;
  /** Who moves its bytes now. */
  readonly lane: Lane | null;
  /** "memory": the upload does not survive the worker. "stored": the bytes are in IndexedDB. "handle": on disk. */
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
  readonly partsDone: number;
  readonly partsTotal: number;
  /** Bytes in each part but the last. */
  readonly partSize: number;
  /** Faults in a row. */
  readonly attempts: number;
  /** Faults of parts since the worker has started, mended ones too. */
  readonly faults: number;
  /** Parts that have failed and not arrived since; at most 8. */
  readonly troubledParts: readonly PartTrouble[];
  /** Milliseconds since 1970, while waiting for a time; else null. */
  readonly nextAttemptAt: number | null;
  /** What failed, in `failed` and `waiting`; else null. */
  readonly error: UploadError | null;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** Milliseconds since 1970. */
  readonly updatedAt: number;
  /** What S3 holds, in `done`; else null. */
  readonly object: StoredObject | null;
}

/** A part that has not arrived yet. */
export interface PartTrouble {
  readonly partNumber: number;
  /** Faults in a row. */
  readonly attempts: number;
  /** The last one. */
  readonly error: UploadErrorWire;
}
