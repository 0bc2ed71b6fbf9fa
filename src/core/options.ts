import { MIB } from "./limits.ts";

/**
 * Who may move an upload's bytes. "auto": the worker, and the browser's own transfers once no page is left. "browser": those
 * at once, with their own place in the browser's user interface. "worker": never those.
 */
export type LaneOption = "auto" | "worker" | "browser";

/** Hours of the local day, 0 to 24, fractions allowed; from 22 to 6 is the night. */
export interface Hours {
  readonly from: number;
  readonly to: number;
}

/** When an upload may move. Everything that is named must hold. */
export interface Conditions {
  /** Not over a network known to be metered, nor while the user saves data. Where the browser can't tell, it may. */
  readonly unmetered?: boolean;
  /** Milliseconds since 1970, or a `Date`. */
  readonly notBefore?: number | Date;
  /** Hours of the local day, such as `{ from: 22, to: 6 }` for the night; 0 to 24, fractions allowed. */
  readonly hours?: Hours;
}

/** What an app says about one file. */
export interface AddOptions {
  /** Where the object is to be in the bucket: 1 to 1,024 bytes of UTF-8. The server has the last word. */
  readonly key: string;
  /** Name for people. @default the file's own, or the key's last segment */
  readonly name?: string;
  /** MIME type that the object gets. @default the file's own */
  readonly type?: string;
  /** Bytes in each part but the last, within the storage's limits. @default by the file's size */
  readonly partSize?: number;
  /** Where the browser or the app has no way for "browser", that is as "auto". @default "auto" */
  readonly lane?: LaneOption;
  /** Higher ones go first. @default 0 */
  readonly priority?: number;
  /**
   * Until then it waits (`conditions`), and again when it may no longer. With `unmetered` or `hours` it is never left to the
   * browser, which would not stop. @default always
   */
  readonly conditions?: Conditions;
  /**
   * Refuse the file (`QUOTA_EXCEEDED`), and all that are added with it, if it can't be kept where it outlives the worker.
   * Nothing is sent before that is known. @default false: it goes on from memory, and `durability` says so
   */
  readonly requireDurable?: boolean;
}

/**
 * How files are cut into parts: small enough that little is sent twice after a death, large enough that requests don't
 * dominate.
 *
 * - `fixed`: parts of `bytes`.
 * - `bySize`: from 5 MiB for small files to 50 MiB for those above 10 GiB.
 * - `adaptive`: what one of the parallel parts sent in `seconds` (10) at the speed measured last in this browser; `bySize`
 *   until then.
 *
 * Whatever it says is kept within what the storage takes.
 */
export type PartSizing =
  | { readonly strategy: "fixed"; readonly bytes: number }
  | { readonly strategy: "bySize" }
  | { readonly strategy: "adaptive"; readonly seconds?: number };

/** When to try again what may pass: the network's faults, overload, outages. There is no limit of tries. */
export interface RetryPolicy {
  /** Longest wait before the first retry, in milliseconds. @default 1000 */
  readonly baseMs: number;
  /** Longest wait between two tries, in milliseconds; a visit or the network's return end it at once. @default 900000 */
  readonly maxMs: number;
}

export const RETRY_POLICY = { baseMs: 1_000, maxMs: 900_000 } as const satisfies RetryPolicy;

/** For how long the list shows uploads that are done or canceled, and how many of them for each user. */
export interface KeepEnded {
  /** Fractions allowed; 0 to 3,650. @default 30 */
  readonly days: number;
  /** The newest ones; 0 to 100,000. @default 1000 */
  readonly count: number;
}

export const KEEP_ENDED = { days: 30, count: 1_000 } as const satisfies KeepEnded;

/** How the engine works. */
export interface EngineOptions {
  /**
   * The most parts on their way at once, over all uploads; 1 to 64. How many really go is found out: as many as make it
   * faster, and as the storage takes. Browsers open 6 connections to an origin over HTTP/1.1; 10 are worth trying over HTTP/2.
   * @default 6
   */
  readonly parallelParts: number;
  /** The most parts of one upload on their way at once; 1 to 64. @default 6 */
  readonly parallelPartsPerUpload: number;
  /** Files of at most this many bytes go in a single PUT; 0 for never. @default 16 MiB */
  readonly multipartThresholdBytes: number;
  /** How files are cut where `add` does not say. @default { strategy: "bySize" } */
  readonly partSize: PartSizing;
  /** When to try again. */
  readonly retry: RetryPolicy;
  /** A part that moves no byte for this long is tried again, in milliseconds; the more bytes it has the more time it gets. @default 60,000 */
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
