import type { UploadErrorWire } from "../../src/core/errors.ts";
import type { Durability, PauseReason, WaitingReason } from "../../src/core/states.ts";
import type { StoredObject } from "../../src/core/storage.ts";
import type { UploadConditions } from "./conditions.ts";
import type { Queued, Remote, Uploading, UploadRecord } from "./record.ts";

/** The events that can happen to an upload. */
export type UploadEvent =
  /** `begin` is about to be sent. */
  | { readonly type: "beginning" }
  | { readonly type: "begun"; readonly token: string; readonly key: string }
  /** S3 confirmed some part after faults. */
  | { readonly type: "progressed" }
  /** S3 confirmed every part. */
  | { readonly type: "sent" }
  | { readonly type: "completed"; readonly object: StoredObject }
  /** At completion S3 lacked parts, or had others. */
  | { readonly type: "partsMissing" }
  /** S3 has dropped the open upload with all its parts. */
  | { readonly type: "gone" }
  /** The upload can't go on now, but will later. */
  | {
      readonly type: "fault";
      readonly reason: Exclude<WaitingReason, "conditions">;
      readonly nextAttemptAt: number | null;
      readonly error: UploadErrorWire;
    }
  /** The app's conditions don't hold (any more), or another one doesn't. `recheckAt`: null if no clock changes that. */
  | {
      readonly type: "conditionsUnmet";
      readonly by: keyof UploadConditions;
      readonly recheckAt: number | null;
    }
  /** The reason to wait has passed. */
  | { readonly type: "wake" }
  | { readonly type: "fail"; readonly error: UploadErrorWire }
  /** The bytes outlive this worker now. */
  | { readonly type: "stored"; readonly durability: Exclude<Durability, "memory"> }
  | { readonly type: "pause"; readonly reason: PauseReason }
  | { readonly type: "resume" }
  | { readonly type: "retry" }
  | { readonly type: "cancel" }
  | { readonly type: "remove" }
  /** Nothing is open at S3 any more. */
  | { readonly type: "aborted" };

/**
 * Consequences of a transition. The first group is written together with the new record, in one transaction;
 * the second is for the driver, after that write.
 */
export type Effect = "deleteBytes" | "deleteParts" | "doubtParts" | "deleteRecord" | DriverEffect;
/** `halt`: stop sending for it at once. `drive`: look at it, there may be something to do. */
export type DriverEffect = "halt" | "drive";

export type Transition = readonly [record: UploadRecord, effects: readonly Effect[]];

/**
 * The state machine of one upload. An event that means nothing in the state it meets gives back the same record and no
 * effects: what a slow answer has to say about an upload that was canceled meanwhile is lawful and void.
 */
export function transition(record: UploadRecord, event: UploadEvent, now: number): Transition {
  const [next, effects] = step(record, event, now);
  return next === record ? [record, effects] : [{ ...next, updatedAt: now }, effects];
}

function step(record: UploadRecord, event: UploadEvent, now: number): Transition {
  const unchanged: Transition = [record, []];
  switch (event.type) {
    case "beginning":
      if (record.state !== "queued" || record.remote.at === "asked") return unchanged;
      return [{ ...record, remote: { at: "asked", since: now } }, []];

    case "begun":
      return begun(record, { at: "open", token: event.token }, event.key);

    case "progressed":
      return record.state === "done" || record.attempts === 0 ? unchanged : [{ ...record, attempts: 0 }, []];

    case "sent":
      return record.state === "uploading" ? [{ ...record, state: "completing" }, ["drive"]] : unchanged;

    case "completed":
      return completed(record, event.object);

    case "partsMissing":
      return record.state === "completing"
        ? [{ ...record, state: "uploading" }, ["doubtParts", "drive"]]
        : unchanged;

    case "gone":
      return gone(record);

    case "fault": {
      if (record.state !== "queued" && record.state !== "uploading" && record.state !== "completing")
        return unchanged;
      const { reason, nextAttemptAt, error } = event;
      const attempts = record.attempts + 1;
      // A lost file has no stored copy any more.
      const durability = error.code === "FILE_LOST" ? "memory" : record.durability;
      return [{ ...record, state: "waiting", reason, nextAttemptAt, error, attempts, durability }, ["drive"]];
    }

    case "conditionsUnmet":
      return conditionsUnmet(record, event.by, event.recheckAt);

    case "wake":
      return record.state === "waiting" ? [ready(record, record.remote), ["drive"]] : unchanged;

    case "fail":
      if (record.state === "done" || record.state === "failed" || record.state === "canceled")
        return unchanged;
      return [{ ...common(record), state: "failed", error: event.error, remote: record.remote }, ["halt"]];

    case "stored":
      return record.state === "done" || record.durability === event.durability
        ? unchanged
        : [{ ...record, durability: event.durability }, []];

    case "pause":
      return pause(record, event.reason);

    case "resume":
      return record.state === "paused" ? [ready(record, record.remote), ["drive"]] : unchanged;

    case "retry":
      if (record.state !== "failed") return unchanged;
      return [ready({ ...record, attempts: 0 }, record.remote), ["drive"]];

    case "cancel":
      return cancel(record, false);

    case "remove":
      return remove(record);

    case "aborted":
      return aborted(record);

    default:
      return event satisfies never;
  }
}

function begun(record: UploadRecord, remote: Uploading["remote"], key: string): Transition {
  switch (record.state) {
    case "queued":
      return [{ ...record, state: "uploading", remote, key, attempts: 0 }, ["drive"]];
    // The answer came after the user had spoken: remember what is open, so that it is used or aborted later.
    case "paused":
    case "waiting":
    case "failed":
    case "canceled":
      if (record.remote.at === "open") return [record, []];
      return [{ ...record, remote, key }, ["drive"]];
    default:
      return [record, []];
  }
}

function conditionsUnmet(
  record: UploadRecord,
  by: keyof UploadConditions,
  nextAttemptAt: number | null,
): Transition {
  const error = { code: "CONDITIONS_UNMET", detail: by } as const;
  switch (record.state) {
    case "queued":
    case "uploading":
      return [{ ...record, state: "waiting", reason: "conditions", nextAttemptAt, error }, ["halt", "drive"]];
    case "waiting":
      if (record.reason !== "conditions") return [record, []];
      if (record.nextAttemptAt === nextAttemptAt && record.error.detail === by) return [record, []];
      return [{ ...record, nextAttemptAt, error }, []];
    // The bytes have moved already; what is left costs next to nothing.
    default:
      return [record, []];
  }
}

function completed(record: UploadRecord, object: StoredObject): Transition {
  switch (record.state) {
    case "completing":
    // Asked to pause, cancel or wait after S3 had been told to complete: it is too late, and the truth is "done".
    case "paused":
    case "waiting":
    case "failed":
    case "canceled":
      return [
        { ...common(record), state: "done", object },
        ["deleteBytes", "deleteParts", ...(isRemoved(record) ? (["deleteRecord"] as const) : [])],
      ];
    default:
      return [record, []];
  }
}

function gone(record: UploadRecord): Transition {
  switch (record.state) {
    case "uploading":
    case "completing":
      return [
        { ...common(record), state: "queued", remote: { at: "none" } },
        ["halt", "deleteParts", "drive"],
      ];
    case "paused":
    case "waiting":
      if (record.remote.at === "none") return [record, []];
      return [{ ...record, remote: { at: "none" } }, ["deleteParts"]];
    case "failed":
      if (record.remote.at === "none") return [record, []];
      return [{ ...record, remote: { at: "none" } }, ["deleteParts"]];
    case "canceled":
      return aborted(record);
    default:
      return [record, []];
  }
}

function pause(record: UploadRecord, reason: PauseReason): Transition {
  switch (record.state) {
    case "queued":
    case "uploading":
    case "completing":
    case "waiting":
      return [{ ...common(record), state: "paused", reason, remote: record.remote }, ["halt"]];
    default:
      return [record, []];
  }
}

function cancel(record: UploadRecord, removed: boolean): Transition {
  if (record.state === "done" || record.state === "canceled") return [record, []];
  return [
    { ...common(record), state: "canceled", remote: record.remote, removed },
    ["halt", "deleteBytes", "deleteParts", "drive"],
  ];
}

function remove(record: UploadRecord): Transition {
  switch (record.state) {
    case "done":
      return [record, ["deleteRecord"]];
    case "canceled":
      if (record.remote.at === "none") return [record, ["deleteRecord"]];
      return [{ ...record, removed: true }, []];
    case "failed":
      if (record.remote.at === "none") return [record, ["deleteBytes", "deleteParts", "deleteRecord"]];
      return cancel(record, true);
    default:
      return [record, []];
  }
}

function aborted(record: UploadRecord): Transition {
  if (record.state !== "canceled" || record.remote.at === "none") return [record, []];
  return [{ ...record, remote: { at: "none" } }, record.removed ? ["deleteRecord"] : []];
}

/** Back to work: at the parts if the upload is open at S3, else at its beginning. */
function ready(record: UploadRecord, remote: Remote): Queued | Uploading {
  return remote.at === "open"
    ? { ...common(record), state: "uploading", remote }
    : { ...common(record), state: "queued", remote };
}

function isRemoved(record: UploadRecord): boolean {
  return record.state === "canceled" && record.removed;
}

/** The fields that records of all states have, without those of the old state. */
function common(record: UploadRecord) {
  const { id, order, wantedKey, name, type, lastModified, owner, laneOption, method, plan, checksum } =
    record;
  const { priority, conditions, createdAt, key, durability, attempts, updatedAt } = record;
  const facts = { id, order, wantedKey, name, type, lastModified, owner, laneOption, method, plan, checksum };
  return { ...facts, priority, conditions, createdAt, key, durability, attempts, updatedAt };
}
