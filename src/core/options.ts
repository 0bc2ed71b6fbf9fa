import { MIB } from "./limits.ts";

/**
 * Who may move an upload's bytes.
 *
 * - `auto`: the worker, and a background fetch once no page is left.
 * - `browser`: a background fetch at once, which the browser shows among its downloads.
 * - `worker`: the worker only.
 */
export type LaneOption = "auto" | "worker" | "browser";

/** A span of the local day, in hours from 0 to 24, fractions allowed. `{ from: 22, to: 6 }` is the night. */
export interface Hours {
  /** The hour at which the span begins. */
  readonly from: number;
  /** The hour at which it ends, on the next day if it is the lower number. */
  readonly to: number;
}

/** When an upload's bytes may be sent. All conditions that are given must hold. */
export interface Conditions {
  /**
   * Not over a network that is known to be metered, nor while the user saves data. Browsers that can't tell count as
   * unmetered.
   * @default false
   */
  readonly unmetered?: boolean;
  /** Not before this time: milliseconds since 1970, or a `Date`. @default at once */
  readonly notBefore?: number | Date;
  /** Only within this span of the local day. @default at any hour */
  readonly hours?: Hours;
}

/** How one file is to be uploaded. */
export interface AddOptions {
  /**
   * Where the object is to be in the bucket: 1 to 1,024 bytes of UTF-8. The server has the last word. Of two files under one
   * key the later replaces the earlier, as everywhere in S3, unless the server's `object: { ifNoneMatch: true }` forbids it
   * (`OBJECT_EXISTS`). `safeKey` makes a key of a file's name, and `freeKey` one that is not taken.
   */
  readonly key: string;
  /** The name that people see. @default the file's own, or the key's last segment */
  readonly name?: string;
  /** The MIME type that the object gets. @default the file's own */
  readonly type?: string;
  /** Bytes in each part but the last, within the storage's limits. @default by the file's size */
  readonly partSize?: number;
  /** Who may move the bytes. "browser" counts as "auto" where there is no Background Fetch or no relay. @default "auto" */
  readonly lane?: LaneOption;
  /** Uploads of a higher priority are sent first. @default 0 */
  readonly priority?: number;
  /**
   * When the upload may be sent; at other times it waits (reason `conditions`). With `unmetered` or `hours` it is never handed
   * over to the browser, which would not stop.
   * @default at any time
   */
  readonly conditions?: Conditions;
  /**
   * Whether to refuse the file (`QUOTA_EXCEEDED`), and all files added with it, if it can't be stored so that it outlives the
   * worker. Nothing is sent before that is known. If false, the upload goes on from memory, and `durability` says so.
   * @default false
   */
  readonly requireDurable?: boolean;
}

/**
 * How files are cut into parts: small enough that little is sent again after the worker's death, large enough that requests
 * don't dominate. The size is always kept within the storage's limits.
 */
export type PartSizing =
  | {
      /** Parts of `bytes`, whatever the file's size. */
      readonly strategy: "fixed";
      /** Bytes in each part but the last. */
      readonly bytes: number;
    }
  | {
      /** Parts of 5 MiB for small files, up to 50 MiB for files above 10 GiB. */
      readonly strategy: "bySize";
    }
  | {
      /**
       * Parts that each take about `seconds` to send, at the speed last measured in this browser. As `bySize` until a speed
       * is known.
       */
      readonly strategy: "adaptive";
      /** How long sending one part should take, in whole seconds, 1 to 3,600. @default 10 */
      readonly seconds?: number;
    };

/**
 * When to retry after faults that may pass: a network that fails, an overload, an outage. There is no limit on the number of
 * retries.
 */
export interface RetryPolicy {
  /** Longest wait before the first retry, in milliseconds. @default 1000 */
  readonly baseMs: number;
  /**
   * Longest wait between two tries, in milliseconds. A page that opens, or the network's return, ends any wait at once.
   * @default 1800000
   */
  readonly maxMs: number;
}

export const RETRY_POLICY = { baseMs: 1_000, maxMs: 1_800_000 } as const satisfies RetryPolicy;

/** For how long the list shows uploads that are done or canceled, and how many of them for each user. */
export interface KeepEnded {
  /** Days since their end. Fractions are allowed; 0 to 3,650. @default 30 */
  readonly days: number;
  /** The newest ones; 0 to 100,000. @default 1000 */
  readonly count: number;
}

export const KEEP_ENDED = { days: 30, count: 1_000 } as const satisfies KeepEnded;

/** How the worker sends uploads. */
export interface EngineOptions {
  /**
   * The most parts to send at once, over all uploads; 1 to 64. The worker finds out how many to send: as many as make it
   * faster and as the storage accepts. Browsers open 6 connections to an origin over HTTP/1.1; try 10 over HTTP/2.
   * @default 6
   */
  readonly parallelParts: number;
  /** The most parts of one upload to send at once; 1 to 64. @default 6 */
  readonly parallelPartsPerUpload: number;
  /** The largest file that is sent in a single PUT, in bytes; 0 for none. @default 16777216 (16 MiB) */
  readonly multipartThresholdBytes: number;
  /** How files are cut for which `add` gives no part size. @default { strategy: "bySize" } */
  readonly partSize: PartSizing;
  /** When to retry after faults that may pass. */
  readonly retry: RetryPolicy;
  /**
   * How long a part may go without progress before it is sent again, in milliseconds. Larger parts are given more time.
   * @default 60000
   */
  readonly stallTimeoutMs: number;
  /**
   * Which ended uploads stay in the list; the others are taken off it at a page's visit, but none within an hour of its end,
   * and none that has failed. Their objects stay.
   */
  readonly keepEnded: KeepEnded;
}

export const ENGINE_DEFAULTS = {
  parallelParts: 6,
  parallelPartsPerUpload: 6,
  multipartThresholdBytes: 16 * MIB,
  partSize: { strategy: "bySize" },
  retry: RETRY_POLICY,
  stallTimeoutMs: 60_000,
  keepEnded: KEEP_ENDED,
} as const satisfies EngineOptions;
