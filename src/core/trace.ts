import type { UploadErrorCode } from "./errors.ts";
import type { Lane } from "./snapshot.ts";
import type { UploadState } from "./states.ts";

/**
 * What the worker does, step by step, for logs and debug pages. With no personal data: no names, keys, URLs or tokens, and
 * uploads by their random ids only.
 */
export type TraceEvent = { readonly /** Milliseconds since 1970. */ at: number } & TraceStep;

export type TraceStep =
  | /** The worker has started, and read what is stored. */ {
      readonly type: "started";
      readonly uploads: number;
    }
  | {
      readonly type: "state";
      readonly id: string;
      readonly from: UploadState;
      readonly to: UploadState;
      /** Why it rests or has failed; null where nothing is wrong. */
      readonly code: UploadErrorCode | null;
    }
  | /** S3 has confirmed a part that this worker has sent. */ {
      readonly type: "partSent";
      readonly id: string;
      readonly partNumber: number;
      readonly bytes: number;
      readonly ms: number;
    }
  | /** A part will be tried again. */ {
      readonly type: "partFailed";
      readonly id: string;
      readonly partNumber: number;
      /** Faults in a row of this part. */
      readonly attempts: number;
      readonly code: UploadErrorCode;
      /** Status and S3's error code, if S3 answered. */
      readonly detail: string;
    }
  | /** S3 was asked which of the parts in doubt it has. */ {
      readonly type: "lookedUp";
      readonly id: string;
      readonly asked: number;
      readonly found: number;
    }
  | /** What S3 holds of a part is not what the device has; it is sent again. */ {
      readonly type: "partDamaged";
      readonly id: string;
      readonly partNumber: number;
    }
  | /** Nothing of a user's uploads is kept on this device any more; `leftOpen` of them may still be open at S3. */ {
      readonly type: "forgotten";
      readonly uploads: number;
      readonly leftOpen: number;
    }
  | /** More or fewer parts go at once from now on. */ { readonly type: "parallel"; readonly parts: number }
  | /** Somebody else moves its bytes from now on. */ {
      readonly type: "lane";
      readonly id: string;
      readonly lane: Lane;
    };

/** Must not throw, nor take long. */
export type Trace = (event: TraceEvent) => void;
