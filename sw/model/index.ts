/** The rules of uploads, as pure functions: records and their transitions, turns, retries, progress. */

export { Breaker } from "./breaker.ts";
export { Concurrency, TELLING_BYTES, type TimedPart } from "./concurrency.ts";
export {
  type ConditionsCheck,
  type ConnectionFacts,
  canBecomeUnmet,
  checkConditions,
  isMetered,
  type UploadConditions,
} from "./conditions.ts";
export { outdated } from "./keep-ended.ts";
export { PartLedger } from "./part-ledger.ts";
export { partSizeFor } from "./part-size.ts";
export { addSentBytes, advance, type Progress, speedAt, startProgress } from "./progress.ts";
export {
  type Completing,
  isActive,
  isFinal,
  needsBytes,
  owesAbort,
  type PartRecord,
  type Queued,
  type Remote,
  type Uploading,
  type UploadRecord,
} from "./record.ts";
export { isPassing, putTimeoutMs, retryDelayMs } from "./retry.ts";
export { compareTurns } from "./schedule.ts";
export { snapshotOf } from "./snapshot.ts";
export { type Effect, transition, type UploadEvent } from "./transition.ts";
