/** Chromium's own features that the worker uses and TypeScript's library lacks. */

interface WorkerNavigator {
  readonly connection?: EventTarget & { readonly type?: string; readonly saveData?: boolean };
}

interface ServiceWorkerRegistration {
  readonly backgroundFetch?: import("./background-fetch-types.ts").BackgroundFetchManager;
}

interface ServiceWorkerGlobalScopeEventMap {
  backgroundfetchsuccess: import("./background-fetch-types.ts").BackgroundFetchEvent;
  backgroundfetchfail: import("./background-fetch-types.ts").BackgroundFetchEvent;
  backgroundfetchabort: import("./background-fetch-types.ts").BackgroundFetchEvent;
  sync: import("./background-fetch-types.ts").SyncEvent;
}
