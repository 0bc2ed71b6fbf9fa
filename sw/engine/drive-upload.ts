import { toWire, UploadError, type UploadErrorCode } from "../../src/core/errors.ts";
import { type BeginIntent, StorageFault } from "../../src/core/storage.ts";
import { withBytes } from "../files/index.ts";
import {
  type Completing,
  isPassing,
  type Queued,
  retryDelayMs,
  type UploadEvent,
  type Uploading,
  type UploadRecord,
} from "../model/index.ts";
import { type SendContext, sendParts } from "../parts/index.ts";
import type { Gates } from "./gates.ts";
import type { LiveUpload } from "./live-upload.ts";

export interface DriveContext extends SendContext {
  readonly gates: Gates;
  /** Writes what an event makes of the upload, and applies it. */
  readonly apply: (upload: LiveUpload, event: UploadEvent) => Promise<void>;
}

/** S3 may take back what it had confirmed this often in a worker's life before the upload waits for better times. */
const MAX_SETBACKS = 3;
/** Tokens that the server can't read are another server's of the same app for so many tries; then the upload begins anew. */
const MAX_TOKEN_REFUSALS = 8;

/** The database's own troubles. The engine deals with them: nothing can be noted, not even that. */
const OF_THE_DATABASE: ReadonlySet<UploadErrorCode> = new Set([
  "QUOTA_EXCEEDED",
  "DATABASE_CLOSED",
  "DATABASE_UNAVAILABLE",
]);

/** Moves one upload on, step by step, until it ends, rests, or is taken away. @throws what the database throws */
export async function driveUpload(upload: LiveUpload, context: DriveContext): Promise<void> {
  while (!upload.signal.aborted && !upload.leavesRest) {
    const { record } = upload;
    try {
      switch (record.state) {
        case "waiting":
          await context.apply(upload, { type: "wake" });
          break;
        case "queued":
          await begin(upload, record, context);
          break;
        case "uploading":
          await send(upload, record, context);
          break;
        case "completing":
          await complete(upload, record, context);
          break;
        default:
          return;
      }
    } catch (error) {
      if (isDatabaseError(error)) throw error;
      // The answer may be to the next user's session, or the upload another worker's. Whoever drives it next asks again.
      if (upload.signal.aborted) return;
      for (const event of eventsOf(error, upload, context)) await context.apply(upload, event);
    }
    if (upload.record.state === "waiting") return;
  }
}

export function isDatabaseError(error: unknown): error is UploadError {
  return error instanceof UploadError && OF_THE_DATABASE.has(error.code);
}

/** Ends what is still open at S3 for an upload that was canceled. Returns in how many milliseconds to try again, if it must. */
export async function settleRemote(upload: LiveUpload, context: DriveContext): Promise<number | undefined> {
  const { record } = upload;
  if (record.state !== "canceled") return undefined;
  try {
    // A `begin` whose answer was lost: asked again, the server tidies up after it and names what is open now.
    if (record.remote.at === "asked") await askToBegin(upload, record.remote.since, context);
    else if (record.remote.at === "open") {
      await context.storage.abort(record.remote.token);
      await context.apply(upload, { type: "aborted" });
    }
    upload.settleAttempts = 0;
    return undefined;
  } catch (error) {
    if (isDatabaseError(error)) throw error;
    // As in `driveUpload`. Its own user's next session aborts it.
    if (upload.signal.aborted) return undefined;
    upload.settleAttempts += 1;
    if (error instanceof StorageFault && (isPassing(error) || error.kind === "unauthorized"))
      return waitAfter(upload.settleAttempts, error, context, upload);
    // Refused for good: the server's clean-up of old multipart uploads is what is left.
    console.warn("backhaul: an upload could not be aborted.", error);
    await context.apply(upload, { type: "aborted" });
    return undefined;
  }
}

async function begin(upload: LiveUpload, record: Queued, context: DriveContext): Promise<void> {
  // Written before the request goes out: should this worker die over it, the next one knows that something may be open.
  await context.apply(upload, { type: "beginning" });
  // Meanwhile the upload may have been halted, and another worker may drive it.
  if (upload.signal.aborted) return;
  await askToBegin(upload, record.remote.at === "asked" ? record.remote.since : null, context);
}

async function askToBegin(
  upload: LiveUpload,
  triedSince: number | null,
  context: DriveContext,
): Promise<void> {
  const triedForMs = triedSince === null ? null : Math.max(0, context.platform.clock.now() - triedSince);
  const askedAt = context.platform.clock.now();
  const { token, key, signed = [] } = await context.storage.begin(beginIntentOf(upload.record, triedForMs));
  upload.begun(token, { parts: signed, askedAt });
  await context.apply(upload, { type: "begun", token, key });
}

/** @param triedForMs milliseconds since the first try whose answer was lost; null if there was none */
export function beginIntentOf(record: UploadRecord, triedForMs: number | null): BeginIntent {
  const { id: uploadId, wantedKey: key, type, name, method, plan, checksum } = record;
  const { size, partSize } = plan;
  return { uploadId, key, type, name, method, size, partSize, checksum, triedForMs };
}

async function send(upload: LiveUpload, record: Uploading, context: DriveContext): Promise<void> {
  const end = await withBytes(upload, context.database, (bytes) => sendParts(upload, record, bytes, context));
  if (end.type === "sent") {
    const { token } = record.remote;
    // Called in one turn, these share a transaction.
    const recorded = context.database.partsDone(upload.id, token, end.receipts);
    await Promise.all([recorded, context.apply(upload, { type: "sent" })]);
  } else if (end.type === "rest") {
    upload.ownDueAt = context.platform.clock.elapsed() + end.ownMs;
    const waitMs = Math.max(end.ownMs, context.gates.waitMs);
    await context.apply(upload, restOf(end.fault, context.platform.clock.now() + waitMs, context));
  }
  // Changes nothing, but reads what is stored, which another version of the worker may have written.
  else if (!upload.signal.aborted) await context.apply(upload, { type: "progressed" });
}

async function complete(upload: LiveUpload, record: Completing, context: DriveContext): Promise<void> {
  const object = await context.storage.complete(record.remote.token, upload.ledger.receipts());
  if (object.size !== record.plan.size || object.key !== record.key)
    throw new UploadError("VERIFICATION_FAILED", `${object.size} bytes at ${object.key}`);
  await context.apply(upload, { type: "completed", object });
}

/** The events that follow from an error. */
function eventsOf(error: unknown, upload: LiveUpload, context: DriveContext): readonly UploadEvent[] {
  if (error instanceof UploadError) {
    if (error.code === "FILE_LOST" || error.code === "FILE_PERMISSION")
      return [{ type: "fault", reason: "file", nextAttemptAt: null, error: toWire(error) }];
    return [{ type: "fail", error: toWire(error) }];
  }
  const fault = error instanceof StorageFault ? error : unexpected(error);
  const attempts = upload.record.attempts + 1;
  const rest = (inRow = attempts): UploadEvent => {
    const waitMs = waitAfter(inRow, fault, context, upload);
    return restOf(fault, context.platform.clock.now() + waitMs, context);
  };
  if (isPassing(fault)) return [rest()];
  if (fault.code === "TOKEN_EXPIRED") return [{ type: "gone" }];
  // One server of several may not know the secret yet. What was sent is out of reach if none does, but the file is still here.
  if (fault.code === "TOKEN_INVALID") return [attempts < MAX_TOKEN_REFUSALS ? rest() : { type: "gone" }];
  switch (fault.kind) {
    case "unauthorized": {
      const until = context.platform.clock.now() + context.gates.waitMs;
      return [{ type: "fault", reason: "auth", nextAttemptAt: until, error: wireOf(fault) }];
    }
    case "gone":
    case "partsMismatch": {
      upload.setbacks += 1;
      const setback: UploadEvent = { type: fault.kind === "partsMismatch" ? "partsMissing" : "gone" };
      // In between parts are confirmed, which counts as progress; but what ends like this again and again is no progress.
      const inRow = upload.setbacks - MAX_SETBACKS;
      return inRow > 0 ? [setback, rest(inRow)] : [setback];
    }
    default:
      return [{ type: "fail", error: wireOf(fault) }];
  }
}

/** In how many milliseconds to try again: when the upload may, and the way is open for it. */
function waitAfter(
  attempts: number,
  fault: StorageFault,
  { platform, retry, gates }: DriveContext,
  upload: LiveUpload,
): number {
  const own = retryDelayMs(attempts, platform.random(), fault, retry);
  upload.ownDueAt = platform.clock.elapsed() + own;
  return Math.max(own, gates.waitMs);
}

function restOf(fault: StorageFault, until: number, { platform }: DriveContext): UploadEvent {
  const reason = fault.kind === "network" && !platform.network.isOnline ? "offline" : "backoff";
  return { type: "fault", reason, nextAttemptAt: until, error: wireOf(fault) };
}

function wireOf(fault: StorageFault) {
  return { code: fault.code, detail: fault.detail ?? "" };
}

/** The fault of a bug: it is retried, since nothing of the upload is lost. */
function unexpected(error: unknown): StorageFault {
  console.error("backhaul:", error);
  return new StorageFault("transient", "INTERNAL", { detail: String(error), cause: error });
}
