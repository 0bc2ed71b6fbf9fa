import type { PartReceipt, StorageFault } from "../../src/core/storage.ts";
import type { PartLedger } from "../model/index.ts";
import type { Presigned } from "./signatures.ts";

/** An upload as the code that sends, looks up and compares its parts sees it. */
export interface SendingUpload {
  readonly id: string;
  readonly ledger: PartLedger;
  /** Aborts once the upload is paused, canceled or otherwise taken from whoever sends its parts. */
  readonly signal: AbortSignal;
  /** What is on its way is to be sent to its end, and nothing else. */
  readonly leavesRest: boolean;
  /** S3's ETags are not MD5s (SSE-KMS), as its answers and its list agree. */
  etagsAreOpaque: boolean;
  /** The last fault of the upload's parts since the worker started. */
  lastFault: StorageFault | undefined;
  /** What was presigned as the upload with this token began. Only once: S3 may refuse it. */
  takePresigned(token: string): Presigned | undefined;
  /** S3 has this part, which was sent just now. */
  partSent(receipt: PartReceipt): void;
  /** S3 has this part, whenever and by whomever it was sent. */
  partFound(receipt: PartReceipt): void;
  /** A try to send a part has failed. */
  partFailed(): void;
  /** Calls back when parts were confirmed by another way than this sending, until undone. */
  onConfirmedElsewhere(callback: () => void): () => void;
}
