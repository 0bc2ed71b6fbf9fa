import type { StorageLimits } from "../src/core/limits.ts";
import type { UploadStorage } from "../src/core/storage.ts";
import type { ScopedName } from "../src/protocol/protocol.ts";
import type { UploadDatabase } from "./database/index.ts";
import { type Engine, startEngine } from "./engine/index.ts";
import { listenToEvents } from "./events.ts";
import { createWorkerApi, Lifecycle } from "./pages/index.ts";
import type { Platform } from "./platform/index.ts";
import type { WorkerOptions } from "./worker-options.ts";

/** A storage as `serveUploads` accepts it. */
export interface ServedStorage extends UploadStorage {
  setAuth?(headers: Readonly<Record<string, string>>): void;
  /** Base URL of the relay; null or undefined if there is none. */
  readonly relay?: string | null;
}

export interface ServeContext {
  readonly platform: Platform;
  readonly openDatabase: (name: string) => Promise<UploadDatabase>;
  readonly storage: ServedStorage;
  readonly options: WorkerOptions;
  readonly limits: StorageLimits;
}

/** Connects the rooms, whatever the platform. */
export function serve({ platform, openDatabase, storage, options, limits }: ServeContext): void {
  // Several apps may share an origin; each has its own scope.
  const name: ScopedName = `backhaul:${platform.worker.scope}`;
  const lifecycle = new Lifecycle(platform);
  const { checksum, trace } = options;

  let starting: Promise<Engine> | undefined;
  const start = async () =>
    startEngine({
      platform,
      database: await openDatabase(name),
      storage,
      // Nobody's files travel under somebody else's name.
      onOwner: () => storage.setAuth?.({}),
      options,
      checksum,
      trace,
      lifecycle,
      name,
    });
  const engine = () => {
    starting ??= start();
    // A database that can't be opened now may open later.
    starting.catch(() => {
      starting = undefined;
    });
    return starting;
  };

  const api = createWorkerApi({
    commands: async () => (await engine()).commands,
    setAuth: (headers) => storage.setAuth?.(headers),
    relay: storage.relay ?? null,
    limits,
    checksum: checksum.kind,
    options,
    clock: platform.clock,
  });
  listenToEvents({ platform, api, lifecycle, engine, name });
}
