import type { ConnectionFacts } from "../model/index.ts";
import type { BackgroundFetchEvent, BackgroundFetchManager, SyncEvent } from "./background-fetch-types.ts";

/**
 * The outside world, as far as the worker touches it: the one interface between its code and browser, clock, dice and
 * network. `browser-platform.ts` is the real one; the simulation has its own, under virtual time.
 */
export interface Platform {
  readonly clock: Clock;
  /** From 0 up to, not including, 1. */
  random(): number;
  /** A random UUID, version 4. */
  uuid(): string;
  /** SHA-256 of a text's UTF-8. */
  sha256(text: string): Promise<Uint8Array>;
  fetch(input: string | URL | Request, init: RequestInit): Promise<Response>;
  readonly network: Network;
  readonly locks: Locks;
  readonly clients: Clients;
  readonly cookies: Cookies;
  readonly worker: WorkerRegistration;
  /** Undefined where the browser has no Background Fetch, which is everywhere but in Chromium. */
  readonly backgroundFetch: BackgroundFetchManager | undefined;
  /** Opens a BroadcastChannel. What is posted reaches the pages, but not this channel itself. */
  openChannel(name: string): Channel;
  /** The space for this origin by the browser's estimate, in bytes; fields are missing where it says nothing. */
  storageEstimate(): Promise<{ readonly quota?: number; readonly usage?: number }>;
  /** Calls back on each event of the worker's, which may be the one that has woken it. */
  on<Type extends keyof WorkerEventMap>(type: Type, listener: (event: WorkerEventMap[Type]) => void): void;
}

/** The events that mean something to uploads, as `ServiceWorkerGlobalScope` fires them. */
export interface WorkerEventMap {
  activate: ExtendableEvent;
  message: ExtendableMessageEvent;
  sync: SyncEvent;
  periodicsync: ExtendableEvent & { readonly tag: string };
  backgroundfetchsuccess: BackgroundFetchEvent;
  backgroundfetchfail: BackgroundFetchEvent;
  backgroundfetchabort: BackgroundFetchEvent;
}

export interface Clock {
  /** Milliseconds since 1970, by the device's clock, which its user may set. */
  now(): number;
  /** Milliseconds since some moment in the life of this worker; no setting of the device's clock changes it. */
  elapsed(): number;
  /** How far the local day is, in milliseconds. */
  msOfDay(): number;
  /** Calls back once after `ms` unless undone. Timers don't run while the device sleeps, so callers keep them short. */
  after(ms: number, callback: () => void): () => void;
  /** Calls back every `ms` until undone. */
  every(ms: number, callback: () => void): () => void;
}

export interface Network {
  /** The browser's belief. False is sometimes wrong, and true says little. */
  readonly isOnline: boolean;
  /** The Network Information API; Chromium only. */
  readonly connection: ConnectionFacts | undefined;
  /** Calls back when the browser sees the network come back or change. */
  onChange(callback: () => void): void;
}

export interface Locks {
  /** Asks for a Web Lock and holds it until `work` settles. Rejects if the lock is refused, or with what `work` rejects with. */
  hold(name: string, work: () => Promise<void>): Promise<void>;
  /** Ids of the clients that hold this lock, in whatever mode. */
  holders(name: string): Promise<readonly string[]>;
}

export interface Clients {
  /** All windows of the origin that this worker may know of, controlled or not. */
  windows(): Promise<readonly PageClient[]>;
}

/** One page. */
export interface PageClient {
  readonly id: string;
  readonly url: string;
  postMessage(message: unknown): void;
}

export interface Cookies {
  get(name: string): Promise<string | undefined>;
  /** Sets a cookie for the whole origin, same-site only. @param expires milliseconds since 1970 */
  set(name: string, value: string, expires: number): Promise<void>;
}

export interface WorkerRegistration {
  /** The URL below which pages are this worker's. */
  readonly scope: string;
  /** URL of the worker's script. */
  readonly url: string;
  /** A newer version of the worker has installed and waits for this one to end. */
  readonly hasWaitingVersion: boolean;
  /** Calls back whenever a newer version changes its state. */
  onNewVersion(callback: () => void): void;
}

export interface Channel {
  post(message: unknown): void;
  /** Leaves the channel. Later messages reach nobody. */
  close(): void;
}
