import type { PartReceipt, StorageFault } from "../../src/core/storage.ts";
import type { PartLedger } from "../model/index.ts";

/** One upload as those see it who send, look up and compare its parts. */
export interface SendingUpload {
  readonly id: string;
  readonly ledger: PartLedger;
  /** Aborts once the upload is paused, canceled or otherwise taken from whoever sends its parts. */
  readonly signal: AbortSignal;
  /** S3's ETags are not MD5s (SSE-KMS), as its answers and its list agree. */
  etagsAreOpaque: boolean;
  /** What has gone wrong last with its parts, in this life of the worker. */
  lastFault: StorageFault | undefined;
  /** S3 has this part, which was sent just now. */
  partSent(receipt: PartReceipt): void;
  /** S3 has this part, whenever and by whomever it was sent. */
  partFound(receipt: PartReceipt): void;
  /** A try to send a part has failed. */
  partFailed(): void;
  /** Calls back when parts were confirmed by another way than this sending, until undone. */
  onConfirmedElsewhere(callback: () => void): () => void;
}
