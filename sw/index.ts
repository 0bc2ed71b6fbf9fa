import { expose } from "comlink";
import { clientsClaim } from "workbox-core";
import { S3_LIMITS, type StorageLimits } from "../src/core/limits.ts";
import type { EngineOptions, PartSizing, RetryPolicy } from "../src/core/options.ts";
import type { UploadStorage } from "../src/core/storage.ts";
import type { Trace, TraceEvent } from "../src/core/trace.ts";
import { PROTOCOL_VERSION, type ScopedName } from "../src/protocol/protocol.ts";
import { openIdbDatabase } from "./database/idb-database.ts";
import { startEngine } from "./engine/engine.ts";
import { hasKeeper, hasPages, openBrowserLane } from "./engine/hand-over.ts";
import { createWorkerApi, type Uploader } from "./pages/api.ts";
import { keepAlive, tellPages } from "./pages/keep-alive.ts";
import { Lifecycle } from "./pages/lifecycle.ts";
import { createMessageHandler } from "./pages/messages.ts";
import { checkOptions, type GivenOptions } from "./worker-options.ts";

export {
  type ChecksumAlgorithm,
  crc32c,
  crc64nvme,
  md5,
  noChecksum,
  sha256,
} from "./parts/checksums.ts";
export { type HttpStorageOptions, httpStorage } from "./storage/http-storage.ts";
export type { EngineOptions, PartSizing, RetryPolicy, StorageLimits, Trace, TraceEvent, UploadStorage };

declare const self: ServiceWorkerGlobalScope;

export interface ServeUploadsOptions extends GivenOptions {
  /** How objects get into S3: `httpStorage({ endpoint })`. */
  readonly storage: UploadStorage & {
    setAuth?(headers: Readonly<Record<string, string>>): void;
    readonly relay?: string | null;
  };
  /** What the S3 engine accepts, where it differs from Amazon's. @default S3_LIMITS */
  readonly limits?: Partial<StorageLimits>;
  /** Take over pages that were loaded before this worker was active. @default true */
  readonly claimClients?: boolean;
}

/**
 * Makes this service worker carry uploads. Call it once, synchronously, at the top of the worker's script, beside the
 * app's own listeners.
 *
 * @throws {UploadError} `OPTION_INVALID`
 */
export function serveUploads({ storage, limits, claimClients = true, ...rest }: ServeUploadsOptions): void {
  const options = checkOptions(rest);
  // Several apps may share an origin; each has its own scope.
  const name: ScopedName = `backhaul:${self.registration.scope}`;
  if (claimClients) clientsClaim();

  const lifecycle = new Lifecycle();
  let starting: Promise<Uploader> | undefined;
  const start = async (): Promise<Uploader> => {
    const engine = await startEngine(await openIdbDatabase(name), storage, options, name);
    // Nobody's files travel under somebody else's name.
    engine.roster.onOwner = () => storage.setAuth?.({});
    return { engine, lane: await openBrowserLane(engine, lifecycle, name) };
  };
  const uploader = () => {
    starting ??= start();
    // A database that can't be opened now may open later.
    starting.catch(() => {
      starting = undefined;
    });
    return starting;
  };
  let isBusy = () => false;
  /** Whatever woke this worker: look for work, and settle when there is none left. */
  const work = async () => {
    const { supervisor } = (await uploader()).engine;
    isBusy = () => supervisor.isBusy;
    supervisor.nudge();
    await supervisor.idle();
  };

  const api = createWorkerApi({
    ...{ options, limits: { ...S3_LIMITS, ...limits }, relay: storage.relay ?? null },
    uploader,
    setAuth: (headers) => storage.setAuth?.(headers),
  });
  keepAlive(() => isBusy());
  const onMessage = createMessageHandler(
    (endpoint) => expose(api, endpoint),
    async ({ fetchId, runs, isImmediate }, clientId) => {
      const { engine, lane } = await uploader();
      await engine.lent.doubtRuns(runs);
      await lane.follow(fetchId);
      // Another page, or the same after a reload, may have asked for it back before it was there.
      if (!isImmediate && (await hasKeeper(name, clientId))) await lane.takeBack();
    },
  );
  self.addEventListener("message", (event) => {
    const answered = onMessage(event);
    if (!answered) return;
    event.waitUntil(answered);
    lifecycle.hold(event, Promise.all([answered, work()]));
  });
  self.addEventListener("activate", (event) => lifecycle.hold(event, work()));
  // No event to hold by; an answered "stay" or a page's own "wake" will.
  const look = () => void work().catch(() => {});
  self.addEventListener("online", look);
  navigator.connection?.addEventListener("change", look);
  self.addEventListener("sync", (event) => {
    if (event.tag !== name) return;
    lifecycle.holdSync(event, work(), async () => {
      if (!(await hasPages())) return "retry";
      await tellPages({ backhaul: PROTOCOL_VERSION, type: "syncUsed" });
      return "used";
    });
  });

  const takeIn = async (event: BackgroundFetchEvent) => {
    const { lane } = await uploader();
    await lane.finished(event.registration);
    await work();
  };
  self.addEventListener("backgroundfetchsuccess", (event) => lifecycle.hold(event, takeIn(event)));
  self.addEventListener("backgroundfetchfail", (event) => lifecycle.hold(event, takeIn(event)));
  self.addEventListener("backgroundfetchabort", (event) => {
    const pause = async () => {
      const { engine, lane } = await uploader();
      for (const id of await lane.aborted(event.registration))
        await engine.commands.steer(id, { type: "pause", reason: "browser" }).catch(() => {});
    };
    event.waitUntil(pause());
  });
}
