import type { BackgroundFetchManager } from "./background-fetch-types.ts";

/**
 * The outside world, as far as a page's side touches it: the one interface between its code and browser, clock and worker.
 * `browser-platform.ts` is the real one; the simulation has its own, under virtual time.
 */
export interface PagePlatform {
  readonly clock: PageClock;
  /** A random UUID, version 4. */
  uuid(): string;
  readonly worker: WorkerLink;
  readonly locks: PageLocks;
  /** Undefined where the browser has no Background Fetch, which is everywhere but in Chromium. */
  readonly backgroundFetch: BackgroundFetchManager | undefined;
  fetch(url: string, init: RequestInit): Promise<Response>;
  /** A phone or a tablet, as far as the browser says; false where it does not. */
  readonly isMobile: boolean;
  /** Opens a BroadcastChannel. */
  openChannel(name: string, listener: (message: unknown) => void): { close(): void };
  /** Calls back on each event of the page's until undone. */
  on(type: PageEventType, listener: (event: PageEvent) => void): () => void;
  /** Lets the browser do what waits for the main thread, such as drawing, before the work goes on. */
  yieldThread(): Promise<void>;
  /** Asks the browser not to drop what is stored for this origin. Firefox asks the user. */
  persistStorage(): void;
}

export interface PageClock {
  /** Milliseconds since 1970, by the device's clock. */
  now(): number;
  /** Calls back once after `ms` unless undone. */
  after(ms: number, callback: () => void): () => void;
  /** Calls back every `ms` until undone. */
  every(ms: number, callback: () => void): () => void;
}

/** The worker behind a registration, whichever version of it is active, dead or alive. */
export interface WorkerLink {
  /** The URL below which pages are this worker's. */
  readonly scope: string;
  /** Sends a message, which starts the worker if need be. Between two versions there may be none for a moment. */
  post(message: unknown): void;
  /** Calls back on each message of this registration's workers until undone. `answer` goes to just that worker. */
  onMessage(listener: (message: unknown, answer: (message: unknown) => void) => void): () => void;
  /** A newer version of the worker that is to replace the active one. */
  readonly successor: "none" | "installing" | "waiting";
  /** Looks for a newer version of the worker's script. Rejects if that can't be loaded. */
  update(): Promise<void>;
  /** Registers the worker again if the browser has deleted its registration, as with the site's data or on a full disk. */
  restore(): Promise<void>;
  /** The browser has Background Sync. */
  readonly canSync: boolean;
  /** Asks for a `sync` event. Rejects where user or browser don't allow it. */
  registerSync(tag: string): Promise<void>;
  /** Asks for `periodicsync` events, at most one in `minMs`. Rejects where the browser has none, or does not grant them. */
  registerPeriodicSync(tag: string, minMs: number): Promise<void>;
}

export interface PageLocks {
  /** Waits for a Web Lock and holds it until `work` settles. Rejects if the signal aborts before the lock was given. */
  hold(
    name: string,
    options: { readonly mode: LockMode; readonly signal: AbortSignal },
    work: () => Promise<void> | void,
  ): Promise<void>;
}

/**
 * `networkchange`: the kind of network is another one. `visible`: the page has come to the front. `resume`: the browser, or
 * the device, had frozen it. `hidden`, `freeze`: the opposite of these.
 */
export type PageEventType =
  | "online"
  | "networkchange"
  | "pageshow"
  | "pagehide"
  | "visible"
  | "hidden"
  | "resume"
  | "freeze";

export interface PageEvent {
  /** The page comes from the back/forward cache, or may rest there. */
  readonly isPersisted: boolean;
}
