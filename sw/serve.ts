import type { StorageLimits } from "../src/core/limits.ts";
import type { UploadStorage } from "../src/core/storage.ts";
import type { ScopedName } from "../src/protocol/protocol.ts";
import type { UploadDatabase } from "./database/index.ts";
import { type Engine, startEngine } from "./engine/index.ts";
import { type Events, listenToEvents } from "./events.ts";
import { AuthRequest, createWorkerApi, Lifecycle, PageClients } from "./pages/index.ts";
import type { Platform } from "./platform/index.ts";
import type { WorkerOptions } from "./worker-options.ts";

/** A storage as `serveUploads` accepts it. */
export interface ServedStorage extends UploadStorage {
  /** Headers for the app's server, as a page has given them; undefined while none has. */
  setAuth?(headers: Readonly<Record<string, string>> | undefined): void;
  /** How to get headers where there are none, or where the server does not accept them any more. */
  useAuthSource?(source: AuthSource): void;
  /** Base URL of the relay; null or undefined if there is none. */
  readonly relay?: string | null;
}

/** Where headers for the app's server come from. */
export interface AuthSource {
  /** Whether the app's pages usually give headers: a request without them is not worth sending. */
  isExpected(): boolean;
  /** Asks the pages for headers. Settles once they have given some by `setAuth`, or when none will. */
  ask(): Promise<void>;
}

export interface ServeContext {
  readonly platform: Platform;
  readonly openDatabase: (name: string) => Promise<UploadDatabase>;
  readonly storage: ServedStorage;
  readonly options: WorkerOptions;
  readonly limits: StorageLimits;
}

/** Milliseconds until an engine that has ended is started again, if no event does so before. */
const RESTART_MS = 1_000;

/** Connects the rooms, whatever the platform. Returns what an event of the app's own may do for uploads. */
export function serve({ platform, openDatabase, storage, options, limits }: ServeContext): Events["wake"] {
  // Several apps may share an origin; each has its own scope.
  const name: ScopedName = `backhaul:${platform.worker.scope}`;
  const lifecycle = new Lifecycle(platform);
  const pages = new PageClients(platform);
  const authRequest = new AuthRequest(platform, pages);
  const { checksum, trace } = options;
  let usesAuth = false;
  storage.useAuthSource?.({ isExpected: () => usesAuth, ask: () => authRequest.ask() });

  let starting: Promise<Engine> | undefined;
  const start = async () => {
    const database = await openDatabase(name);
    usesAuth = await database.usesAuth().catch((error: unknown) => {
      database.close();
      throw error;
    });
    return startEngine({
      platform,
      database,
      storage,
      hasRelay: (storage.relay ?? null) !== null,
      // Headers of the user before must not go along with the new user's uploads.
      onOwner: () => storage.setAuth?.(undefined),
      options,
      checksum,
      trace,
      lifecycle,
      name,
      onEnded: restartLater,
    });
  };
  const engine = () => {
    if (starting) return starting;
    const started = start();
    starting = started;
    started.catch(() => {
      // A database that can't be opened now may open later. One that was lost meanwhile has had a successor started already.
      if (starting === started) restartLater();
    });
    return started;
  };
  function restartLater(): void {
    starting = undefined;
    platform.clock.after(RESTART_MS, () => void work().catch(() => {}));
  }

  const api = createWorkerApi({
    uuid: () => platform.uuid(),
    commands: async () => (await engine()).commands,
    setAuth(headers) {
      usesAuth = Object.keys(headers).length > 0;
      storage.setAuth?.(headers);
      authRequest.answered();
    },
    relay: storage.relay ?? null,
    limits,
    checksum: checksum.kind,
    options,
    clock: platform.clock,
  });
  const { work, wake } = listenToEvents({ platform, api, lifecycle, pages, engine, name });
  return wake;
}
