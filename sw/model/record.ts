import type { Checksum, ChecksumKind } from "../../src/core/checksum.ts";
import type { UploadErrorWire } from "../../src/core/errors.ts";
import type { LaneOption } from "../../src/core/options.ts";
import type { PartPlan } from "../../src/core/part-plan.ts";
import type { Durability, PauseReason, WaitingReason } from "../../src/core/states.ts";
import type { StoredObject, UploadMethod } from "../../src/core/storage.ts";
import type { UploadConditions } from "./conditions.ts";

/** The facts about an upload that never change once it is added. */
export interface UploadFacts {
  /** UUID, chosen by the page, so that adding again after a lost answer adds nothing. */
  readonly id: string;
  /** Position in the queue; lower goes first. */
  readonly order: number;
  /** The object key that the app asked for. */
  readonly wantedKey: string;
  /** File name, for people. */
  readonly name: string;
  /** MIME type, "" where unknown. */
  readonly type: string;
  /** Milliseconds since 1970, as the file said; null for a Blob. */
  readonly lastModified: number | null;
  /** Who was signed in when it was added; "" for nobody. Only while they are it is shown and driven. */
  readonly owner: string;
  readonly laneOption: LaneOption;
  /** Higher ones go first. */
  readonly priority: number;
  readonly conditions: UploadConditions | null;
  readonly method: UploadMethod;
  readonly plan: PartPlan;
  readonly checksum: ChecksumKind;
  readonly createdAt: number;
}

interface UploadCommon extends UploadFacts {
  /** Object key: the wanted one until the upload begins, then what the server has made of it. */
  readonly key: string;
  readonly durability: Durability;
  /** Faults in a row; back to 0 with each progress. */
  readonly attempts: number;
  readonly updatedAt: number;
}

/** The state of this upload at S3, as far as the worker knows. */
export type Remote =
  /** Nothing. */
  | { readonly at: "none" }
  /** `begin` was sent at `since` and not answered yet. If its answer is lost, something may be open that has no token here. */
  | { readonly at: "asked"; readonly since: number }
  /** Open; the token says where. */
  | { readonly at: "open"; readonly token: string };

/** Its turn has not come, or `begin` is under way. The driver moves it on; after a worker's death the next driver begins again. */
export interface Queued extends UploadCommon {
  readonly state: "queued";
  readonly remote: Extract<Remote, { at: "none" | "asked" }>;
}

/** Parts are sent. The driver moves it on; after a worker's death the parts in doubt are looked up at S3, the rest is sent. */
export interface Uploading extends UploadCommon {
  readonly state: "uploading";
  readonly remote: Extract<Remote, { at: "open" }>;
}

/** S3 has every part; it is told to make the object. After a worker's death it is told again, which is harmless. */
export interface Completing extends UploadCommon {
  readonly state: "completing";
  readonly remote: Extract<Remote, { at: "open" }>;
}

/** The user moves it on, by `resume` or `cancel`. A worker's death means nothing here. */
export interface Paused extends UploadCommon {
  readonly state: "paused";
  readonly reason: PauseReason;
  readonly remote: Remote;
}

/** Time, network, app or user move it on, as `reason` says. A worker's death means nothing here: the next one looks again. */
export interface Waiting extends UploadCommon {
  readonly state: "waiting";
  readonly reason: WaitingReason;
  /** Milliseconds since 1970; null where no clock will end the wait. */
  readonly nextAttemptAt: number | null;
  readonly error: UploadErrorWire;
  readonly remote: Remote;
}

/**
 * Final unless the user retries, which goes on where it stopped: what is open at S3 stays so until the user cancels or removes
 * the upload, or its token ends.
 */
export interface Failed extends UploadCommon {
  readonly state: "failed";
  readonly error: UploadErrorWire;
  readonly remote: Remote;
}

/** Final. What is open at S3 is aborted, by the next worker if this one dies. */
export interface Canceled extends UploadCommon {
  readonly state: "canceled";
  readonly remote: Remote;
  /** The user has removed it from the list; the record goes once nothing is open at S3. */
  readonly removed: boolean;
}

/** Final: S3 holds the object, and it was checked. The bytes kept here are gone. */
export interface Done extends UploadCommon {
  readonly state: "done";
  readonly object: StoredObject;
}

export type UploadRecord = Queued | Uploading | Completing | Paused | Waiting | Failed | Canceled | Done;

/** The driver has something to do for it now. */
export function isActive(record: UploadRecord): record is Queued | Uploading | Completing {
  return record.state === "queued" || record.state === "uploading" || record.state === "completing";
}

/** The user has ended it, and something is still to be tidied away at S3. */
export function owesAbort(record: UploadRecord): record is Canceled {
  return record.state === "canceled" && record.remote.at !== "none";
}

export function isFinal(record: UploadRecord): record is Failed | Canceled | Done {
  return record.state === "done" || record.state === "failed" || record.state === "canceled";
}

/** Its bytes may still have to be sent, be it after a retry. */
export function needsBytes(record: UploadRecord): boolean {
  return record.state !== "done" && record.state !== "canceled";
}

/** A part that is neither here nor there is pending: only claims and receipts are kept. */
export type PartRecord = {
  readonly uploadId: string;
  readonly partNumber: number;
} & (
  | /** Claimed before its PUT goes out. If no receipt follows, it is in doubt: S3 may have it. */
  { readonly state: "sending" }
  | /** S3 has it. `checksum`: null where the bytes were not hashed here. */ {
      readonly state: "done";
      readonly etag: string;
      readonly checksum: Checksum | null;
    }
);
