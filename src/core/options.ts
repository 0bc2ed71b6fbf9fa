/**
 * Who may move an upload's bytes. "auto": the worker, and the browser's own transfers once no page is left. "browser": those
 * at once, with their own place in the browser's user interface. "worker": never those.
 */
export type LaneWish = "auto" | "worker" | "browser";

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
  readonly lane?: LaneWish;
  /** Who the upload belongs to. @default "" */
  readonly owner?: string;
}

/** How the engine works. */
export interface EngineOptions {
  /** Parts on their way at once, over all uploads; 1 to 64. @default 4 */
  readonly parallelParts: number;
  /** Files of at most this many bytes go in a single PUT; 0 for never. @default 16 MiB */
  readonly singlePutBytes: number;
}

export const ENGINE_DEFAULTS = {
  // Measured on loopback, 4 reach the ceiling; browsers open 6 connections to an origin over HTTP/1.1.
  parallelParts: 4,
  singlePutBytes: 16 * 1024 * 1024,
} as const satisfies EngineOptions;
