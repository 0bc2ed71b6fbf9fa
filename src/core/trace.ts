import type { UploadErrorCode } from "./errors.ts";
import type { Lane } from "./snapshot.ts";
import type { UploadState } from "./states.ts";

/** One step of the worker and when it was. */
export type TraceEvent = {
  /** Milliseconds since 1970. */
  readonly at: number;
} & TraceStep;

/**
 * The steps of the worker, for logs and debug pages. They carry no personal data: no names, keys, URLs or tokens, and uploads
 * by their random ids only.
 */
export type TraceStep =
  | {
      /** The worker has started and has read the stored uploads. */
      readonly type: "started";
      /** How many uploads are stored. */
      readonly uploads: number;
    }
  | {
      /** An upload has changed its state. */
      readonly type: "state";
      /** The upload's id. */
      readonly id: string;
      /** The state before. */
      readonly from: UploadState;
      /** The state from now on. */
      readonly to: UploadState;
      /** Why the upload waits or has failed; null where nothing is wrong. */
      readonly code: UploadErrorCode | null;
    }
  | {
      /** S3 has confirmed a part that this worker sent. */
      readonly type: "partSent";
      /** The upload's id. */
      readonly id: string;
      /** From 1, as at S3. */
      readonly partNumber: number;
      /** The part's size in bytes. */
      readonly bytes: number;
      /** Milliseconds from the request to S3's answer. */
      readonly ms: number;
    }
  | {
      /** A part has failed and will be retried. */
      readonly type: "partFailed";
      /** The upload's id. */
      readonly id: string;
      /** From 1, as at S3. */
      readonly partNumber: number;
      /** Failed tries of this part in a row. */
      readonly attempts: number;
      /** Why it failed. */
      readonly code: UploadErrorCode;
      /** HTTP status and S3's error code, if S3 answered; else "". */
      readonly detail: string;
    }
  | {
      /** S3 was asked which of the parts in doubt it has. */
      readonly type: "lookedUp";
      /** The upload's id. */
      readonly id: string;
      /** How many parts were in doubt. */
      readonly asked: number;
      /** How many of them S3 has. */
      readonly found: number;
    }
  | {
      /** S3 holds other bytes of a part than the device has, and the part is sent again. */
      readonly type: "partDamaged";
      /** The upload's id. */
      readonly id: string;
      /** From 1, as at S3. */
      readonly partNumber: number;
    }
  | {
      /** Nothing of a user's uploads is kept on this device any more. */
      readonly type: "forgotten";
      /** How many there were. */
      readonly uploads: number;
      /** How many of them may still be open at S3. */
      readonly leftOpen: number;
    }
  | {
      /** The worker sends more or fewer parts at once from now on. */
      readonly type: "parallel";
      /** How many parts it sends at once. */
      readonly parts: number;
    }
  | {
      /** An upload's bytes are moved by somebody else from now on. */
      readonly type: "lane";
      /** The upload's id. */
      readonly id: string;
      /** Who moves them. */
      readonly lane: Lane;
    };

/** Is called for each step of the worker. It must not throw and must return at once. */
export type Trace = (event: TraceEvent) => void;
