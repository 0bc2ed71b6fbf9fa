/** Interfaces of Chromium that pages use and TypeScript's own library lacks. */

interface BackgroundFetchManager {
  getIds(): Promise<readonly string[]>;
  fetch(id: string, requests: readonly Request[], options: { readonly title: string }): Promise<unknown>;
}

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
  readonly backgroundFetch?: BackgroundFetchManager;
  readonly sync?: SyncManager;
}
