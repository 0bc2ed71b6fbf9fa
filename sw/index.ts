import { openIdbDatabase } from "./database/index.ts";
import { browserPlatform } from "./platform/index.ts";
import { type AuthorizedStorage, createHttpStorage, type HttpStorageOptions } from "./storage/index.ts";

export { type ChecksumAlgorithm, crc32c, crc64nvme, md5, noChecksum, sha256 } from "./parts/index.ts";
export type { HttpStorageOptions } from "./storage/index.ts";

import { clientsClaim } from "workbox-core";
import { S3_LIMITS, type StorageLimits } from "../src/core/limits.ts";
import { type ServedStorage, serve } from "./serve.ts";
import { checkOptions, type GivenOptions } from "./worker-options.ts";

export type { StorageLimits } from "../src/core/limits.ts";
export type { EngineOptions, KeepEnded, PartSizing, RetryPolicy } from "../src/core/options.ts";
export type { UploadStorage } from "../src/core/storage.ts";
export type { Trace, TraceEvent } from "../src/core/trace.ts";

/** How a worker sends uploads. */
export interface ServeUploadsOptions extends GivenOptions {
  /** How objects get into S3: `httpStorage({ endpoint })`, or `s3Storage` of `backhaul/sw/s3-storage`. */
  readonly storage: ServedStorage;
  /** Limits of the S3 engine, where they differ from Amazon's. @default S3_LIMITS */
  readonly limits?: Partial<StorageLimits>;
  /** Whether to take control of pages that were loaded before this worker was active. @default true */
  readonly claimClients?: boolean;
}

/**
 * Has this service worker send uploads. Call it once, synchronously, at the top of the worker's script: browsers dispatch no
 * events to listeners that are added later. The app's own listeners may stand beside it.
 *
 * @throws {UploadError} `OPTION_INVALID`
 */
export function serveUploads({ storage, limits, claimClients = true, ...given }: ServeUploadsOptions): void {
  const options = checkOptions(given);
  if (claimClients) clientsClaim();
  serve({
    platform: browserPlatform,
    openDatabase: (name) => openIdbDatabase(name, browserPlatform),
    storage,
    options,
    limits: { ...S3_LIMITS, ...limits },
  });
}

/**
 * Creates the storage that asks the app's own server, which runs `createUploadHandler` of `backhaul/server`, for presigned
 * URLs.
 *
 * @throws {TypeError} if `endpoint` is not a URL
 * @throws {UploadError} `OPTION_INVALID` if `timeoutMs` or another option is out of bounds
 */
export function httpStorage(options: HttpStorageOptions): AuthorizedStorage {
  return createHttpStorage(options, browserPlatform);
}
