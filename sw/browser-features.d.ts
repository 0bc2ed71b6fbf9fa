/** Interfaces of Chromium that the worker uses and TypeScript's own library lacks. */

interface WorkerNavigator {
  readonly connection?: EventTarget & { readonly type?: string; readonly saveData?: boolean };
}

interface BackgroundFetchRecord {
  readonly request: Request;
  /** Rejects if the request ends without an answer. */
  readonly responseReady: Promise<Response>;
}

interface BackgroundFetchRegistration {
  readonly id: string;
  matchAll(): Promise<readonly BackgroundFetchRecord[]>;
}

interface BackgroundFetchManager {
  get(id: string): Promise<BackgroundFetchRegistration | undefined>;
  getIds(): Promise<readonly string[]>;
}

interface BackgroundFetchEvent extends ExtendableEvent {
  readonly registration: BackgroundFetchRegistration;
}

interface SyncEvent extends ExtendableEvent {
  readonly tag: string;
}

interface ServiceWorkerRegistration {
  readonly backgroundFetch?: BackgroundFetchManager;
}

interface ServiceWorkerGlobalScopeEventMap {
  backgroundfetchsuccess: BackgroundFetchEvent;
  backgroundfetchfail: BackgroundFetchEvent;
  backgroundfetchabort: BackgroundFetchEvent;
  sync: SyncEvent;
}
