import { toWire, UploadError } from "../../src/core/errors.ts";
import type { RetryPolicy } from "../../src/core/options.ts";
import { StorageFault } from "../../src/core/storage.ts";
import { withBytes } from "../files/sources.ts";
import type { Completing, Queued, Uploading } from "../model/record.ts";
import { isWorthRetrying, retryDelayMs } from "../model/retry.ts";
import type { UploadEvent } from "../model/transition.ts";
import { type SendContext, sendParts } from "../parts/send-parts.ts";
import { now, random } from "../platform/clock.ts";
import type { LiveUpload } from "./live-upload.ts";

export interface DriveContext extends SendContext {
  /** Writes the event's outcome and takes it into the run. */
  readonly apply: (run: LiveUpload, event: UploadEvent) => Promise<void>;
}

/** S3 may take back what it had confirmed this often in a worker's life; then something else is wrong with it. */
const MAX_SETBACKS = 3;

/** Moves one upload on, step by step, until it ends, rests, or is taken away. @throws what the database throws */
export async function driveUpload(run: LiveUpload, context: DriveContext): Promise<void> {
  while (!run.signal.aborted) {
    const { record } = run;
    try {
      switch (record.state) {
        case "queued":
          await begin(run, record, context);
          break;
        case "uploading":
          await send(run, record, context);
          break;
        case "completing":
          await complete(run, record, context);
          break;
        default:
          return;
      }
    } catch (error) {
      // Nothing can be noted, not even that. Nothing is lost by it either.
      if (error instanceof UploadError && error.code === "QUOTA_EXCEEDED") throw error;
      await context.apply(run, eventOf(error, run, context.retry));
    }
  }
}

/** Ends what is still open at S3 for an upload that has failed or was canceled. Returns when to try again, if it must. */
export async function settleRemote(run: LiveUpload, context: DriveContext): Promise<number | undefined> {
  const { record } = run;
  if (record.state !== "failed" && record.state !== "canceled") return undefined;
  try {
    // A `begin` whose answer was lost: asked again, the server tidies up after it and names what is open now.
    if (record.remote.at === "asked") await askToBegin(run, record.remote.since, context);
    else if (record.remote.at === "open") {
      await context.storage.abort(record.remote.token);
      await context.apply(run, { type: "aborted" });
    }
    run.settleAttempts = 0;
    return undefined;
  } catch (error) {
    run.settleAttempts += 1;
    const retryable =
      error instanceof StorageFault && isWorthRetrying(error, run.settleAttempts, context.retry);
    if (retryable)
      return now() + retryDelayMs(run.settleAttempts, random(), error.retryAfterMs, context.retry);
    // Refused for good: the server's clean-up of old multipart uploads is what is left.
    console.warn("backhaul: an upload that has ended could not be aborted at the storage.", error);
    await context.apply(run, { type: "aborted" });
    return undefined;
  }
}

async function begin(run: LiveUpload, record: Queued, context: DriveContext): Promise<void> {
  // Written before the request goes out: should this worker die over it, the next one knows that something may be open.
  await context.apply(run, { type: "beginning" });
  await askToBegin(run, record.remote.at === "asked" ? record.remote.since : null, context);
}

async function askToBegin(run: LiveUpload, triedSince: number | null, context: DriveContext): Promise<void> {
  const { id, wantedKey: key, type, name, method, plan, checksum } = run.record;
  const answer = await context.storage.begin({
    ...{ uploadId: id, key, type, name, method, size: plan.size, partSize: plan.partSize, checksum },
    triedForMs: triedSince === null ? null : Math.max(0, now() - triedSince),
  });
  await context.apply(run, { type: "begun", token: answer.token, key: answer.key });
}

async function send(run: LiveUpload, record: Uploading, context: DriveContext): Promise<void> {
  const end = await withBytes(run, context.store, (bytes) => sendParts(run, record, bytes, context));
  if (end.type === "sent") await context.apply(run, { type: "sent" });
  else if (end.type === "rest") await context.apply(run, restOf(end.fault, end.until));
  // Changes nothing, but takes in what is stored, which another version of the worker may have written.
  else if (!run.signal.aborted) await context.apply(run, { type: "progressed" });
}

async function complete(run: LiveUpload, record: Completing, context: DriveContext): Promise<void> {
  const object = await context.storage.complete(record.remote.token, run.ledger.receipts());
  if (object.size !== record.plan.size || object.key !== record.key)
    throw new UploadError("VERIFICATION_FAILED", `${object.size} bytes at ${object.key}`);
  await context.apply(run, { type: "completed", object });
}

/** What an error means to the upload. */
function eventOf(error: unknown, run: LiveUpload, retry: RetryPolicy): UploadEvent {
  if (error instanceof UploadError) {
    if (error.code === "FILE_LOST" || error.code === "FILE_PERMISSION")
      return { type: "fault", reason: "file", nextAttemptAt: null, error: toWire(error) };
    return { type: "fail", error: toWire(error) };
  }
  const fault = error instanceof StorageFault ? error : unexpected(error);
  const attempts = run.record.attempts + 1;
  if (isWorthRetrying(fault, attempts, retry))
    return restOf(fault, now() + retryDelayMs(attempts, random(), fault.retryAfterMs, retry));
  switch (isTokenRefused(fault) ? "gone" : fault.kind) {
    case "unauthorized":
      return { type: "fault", reason: "auth", nextAttemptAt: null, error: wireOf(fault) };
    case "gone":
    case "partsMismatch":
      run.setbacks += 1;
      if (run.setbacks <= MAX_SETBACKS)
        return { type: fault.kind === "partsMismatch" ? "partsMissing" : "gone" };
      return { type: "fail", error: wireOf(fault) };
    default:
      return { type: "fail", error: wireOf(fault) };
  }
}

/** Too old, or of a secret that the server no longer has. What was sent is out of reach then, but the file is still here. */
function isTokenRefused({ code }: StorageFault): boolean {
  return code === "TOKEN_EXPIRED" || code === "TOKEN_INVALID";
}

function restOf(fault: StorageFault, until: number): UploadEvent {
  const error = wireOf(fault);
  return fault.kind === "network" && !navigator.onLine
    ? { type: "fault", reason: "offline", nextAttemptAt: null, error }
    : { type: "fault", reason: "backoff", nextAttemptAt: until, error };
}

function wireOf(fault: StorageFault) {
  return { code: fault.code, detail: fault.detail ?? "" };
}

/** A bug, or a database that failed: tried again for a while, since nothing of the upload is lost. */
function unexpected(error: unknown): StorageFault {
  console.error("backhaul:", error);
  return new StorageFault("transient", "INTERNAL", { detail: String(error), cause: error });
}
