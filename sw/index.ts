import { openIdbDatabase } from "./database/index.ts";
import { browserPlatform } from "./platform/index.ts";
import { type AuthorizedStorage, createHttpStorage, type HttpStorageOptions } from "./storage/index.ts";

export { type ChecksumAlgorithm, crc32c, crc64nvme, md5, noChecksum, sha256 } from "./parts/index.ts";
export type { HttpStorageOptions } from "./storage/index.ts";

import { clientsClaim } from "workbox-core/clientsClaim.js";
import { UploadError } from "../src/core/errors.ts";
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

let wake: ((event: ExtendableEvent) => void) | undefined;

/**
 * Has an event of the app's own, such as `push`, or a `sync` or `periodicsync` with a tag of the app's, carry on whatever
 * uploads wait, until nothing is left to do or the browser's limit for an event is near. To be called synchronously in the
 * event's listener. Backhaul listens to its own tags by itself.
 *
 * Where uploads still wait for the network, a `sync` event ends as failed, so that the browser fires it again.
 *
 * @example self.addEventListener("push", (event) => wakeUploads(event));
 * @throws {UploadError} `STATE_INVALID` before `serveUploads` was called
 */
export function wakeUploads(event: ExtendableEvent): void {
  if (!wake) throw new UploadError("STATE_INVALID", "serveUploads was not called before");
  wake(event);
}

/**
 * Has this service worker send uploads. Call it once, synchronously, at the top of the worker's script: browsers dispatch no
 * events to listeners that are added later. The app's own listeners may stand beside it.
 *
 * @throws {UploadError} `OPTION_INVALID`; `NOT_SUPPORTED` outside a service worker
 */
export function serveUploads({ storage, limits, claimClients = true, ...given }: ServeUploadsOptions): void {
  requireWorker("serveUploads");
  const options = checkOptions(given);
  if (claimClients) clientsClaim();
  wake = serve({
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
 * @throws {UploadError} `OPTION_INVALID` if `timeoutMs` or another option is out of bounds; `NOT_SUPPORTED` outside a service
 *   worker
 */
export function httpStorage(options: HttpStorageOptions): AuthorizedStorage {
  requireWorker("httpStorage");
  return createHttpStorage(options, browserPlatform);
}

/** The module itself may be loaded anywhere, as by an app's tests. */
function requireWorker(call: string): void {
  if (!("ServiceWorkerGlobalScope" in globalThis))
    throw new UploadError("NOT_SUPPORTED", `${call} was called outside a service worker`);
}
