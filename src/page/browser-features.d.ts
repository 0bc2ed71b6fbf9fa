/** Interfaces of Chromium that pages use and TypeScript's own library lacks. */

interface Navigator {
  readonly connection?: EventTarget;
}

interface FileSystemHandle {
  requestPermission?(descriptor: { readonly mode: "read" }): Promise<PermissionState>;
}

interface SyncManager {
  register(tag: string): Promise<void>;
}

interface ServiceWorkerRegistration {
  readonly backgroundFetch?: import("./background-fetch-types.ts").BackgroundFetchManager;
  readonly sync?: SyncManager;
}
