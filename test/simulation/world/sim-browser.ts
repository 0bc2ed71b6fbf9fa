import { S3_LIMITS, type StorageLimits } from "../../../src/core/limits.ts";
import type { TraceEvent } from "../../../src/core/trace.ts";
import type { PageClient, WorkerEventMap } from "../../../sw/platform/platform.ts";
import type { VirtualTime } from "../../support/virtual-time.ts";
import { BackgroundSync } from "./background-sync.ts";
import type { InMemoryRequest } from "./http-messages.ts";
import type { Life } from "./life.ts";
import { LockManager } from "./lock-manager.ts";
import type { Network } from "./network.ts";
import type { Random } from "./random.ts";
import { type BackgroundRequest, SimBackgroundFetch } from "./sim-background-fetch.ts";
import type { SimDatabases } from "./sim-database.ts";
import type { SimRelay } from "./sim-relay.ts";
import { SimTab } from "./sim-tab.ts";
import { SimWorker, type WorkerHost } from "./sim-worker.ts";

export const SIM_LIMITS: StorageLimits = { ...S3_LIMITS, minPartBytes: 1_000 };

export interface BrowserWatcher {
  /** A `sync` event begins. */
  syncFired(): void;
  /** A `sync` event has ended as used: the browser does not fire it again. */
  syncUsed(): void;
  /** The worker's script threw outside of any event. */
  crashed(reason: string): void;
  /** A worker's own account of a step. */
  traced(event: TraceEvent): void;
}

export interface BrowserOptions {
  readonly time: VirtualTime;
  readonly random: Random;
  readonly clock: { now(): number; msOfDay(): number };
  readonly network: Network;
  readonly relay: SimRelay;
  readonly databases: SimDatabases;
  readonly watcher: BrowserWatcher;
}

/** One browser profile: its worker, its tabs, and what both share. */
export class SimBrowser implements WorkerHost {
  readonly time: VirtualTime;
  readonly clock: BrowserOptions["clock"];
  readonly limits = SIM_LIMITS;
  readonly sync: BackgroundSync;
  readonly transfers: SimBackgroundFetch;
  cookies = new Map<string, string>();
  tabs: SimTab[] = [];
  worker: SimWorker | undefined;
  /** What `navigator.onLine` says where it differs from the truth. */
  onLineLie: boolean | undefined;
  connection: { readonly type?: string } | undefined;
  isRunning = true;
  hasBackgroundFetch = false;
  /** `getIds` fails this often. */
  backgroundFetchFaults = 0;
  readonly #options: BrowserOptions;
  #locks = new LockManager();
  #version = 1;
  #waitingVersion: number | undefined;

  constructor(options: BrowserOptions) {
    const { time, clock, network, relay, watcher } = options;
    this.#options = options;
    this.time = time;
    this.clock = clock;
    this.sync = new BackgroundSync(
      time,
      () => this.isRunning && network.isOnline,
      async (tag, lastChance) => {
        watcher.syncFired();
        await this.dispatch("sync", () => ({ tag, lastChance }));
        if (!this.sync.isRenewed(tag)) watcher.syncUsed();
      },
    );
    this.transfers = new SimBackgroundFetch(time, {
      transmit: (request) => relay.receive(request),
      isOnline: () => this.isRunning && network.isOnline,
      ended: (type, fetch) =>
        void this.dispatch(type, (life) => ({ registration: registrationOf(fetch, life) })).catch(() => {}),
      crash: (reason) => watcher.crashed(reason),
    });
  }

  get network() {
    const { onLineLie, connection, isOnline } = { ...this, isOnline: this.#options.network.isOnline };
    return { onLine: onLineLie ?? isOnline, connection };
  }

  random(): number {
    return this.#options.random.fraction();
  }

  uuid(): string {
    return this.#options.random.uuid();
  }

  // What tabs do, and what is done to them.

  openTab(): SimTab {
    const tab = new SimTab({
      time: this.time,
      clock: this.clock,
      uuid: () => this.uuid(),
      postToWorker: (sender, message) => this.#postToWorker(sender, message),
      holdLock: (holder, name, options, work) =>
        this.#locks.hold(holder.life, name, { clientId: holder.id, ...options }, work),
      registerSync: (tag) => this.sync.register(tag),
      backgroundFetch: (opener) => this.#pageBackgroundFetch(opener),
    });
    this.tabs.push(tab);
    tab.life.onEnd(() => {
      this.tabs = this.tabs.filter((each) => each !== tab);
    });
    this.transfers.navigated();
    return tab;
  }

  #postToWorker(sender: SimTab, message: unknown): void {
    if (!sender.life.isAlive) return;
    // Sent already: it arrives though its sender may be gone by then.
    this.time.after(
      1,
      () => void this.dispatch("message", () => ({ data: message, source: sender })).catch(() => {}),
    );
  }

  broadcast(name: string, message: unknown): void {
    for (const tab of this.tabs) tab.hear(name, message);
  }

  // The worker, and what it asks for.

  /** Fires an event in the worker, which is started if need be; with these fields, as the worker's life gets them. */
  async dispatch(type: keyof WorkerEventMap, fieldsFor: (life: Life) => object = () => ({})): Promise<void> {
    if (!this.isRunning) throw new Error("the browser does not run");
    this.worker ??= new SimWorker(this, this.#version);
    await this.worker.fire(type, fieldsFor(this.worker.life));
  }

  workerEnded(worker: SimWorker): void {
    if (this.worker === worker) this.worker = undefined;
    this.#activateWaiting();
  }

  hasWaitingVersion(worker: SimWorker): boolean {
    return this.#waitingVersion !== undefined && worker.version < this.#waitingVersion;
  }

  /** The app has deployed another version, which calls `skipWaiting`. */
  update(): void {
    this.#waitingVersion = this.#version + 1;
    this.worker?.newVersionChanged();
    this.time.after(100, () => this.#activateWaiting());
  }

  /** A new version comes in once no event of the old one runs; the old one is stopped then. */
  #activateWaiting(): void {
    if (this.#waitingVersion === undefined || !this.isRunning) return;
    if (this.worker && !this.worker.isIdle) {
      this.time.after(1_000, () => this.#activateWaiting());
      return;
    }
    this.#version = this.#waitingVersion;
    this.#waitingVersion = undefined;
    const old = this.worker;
    this.worker = undefined;
    old?.life.end();
    void this.dispatch("activate").catch(() => {});
  }

  trace(event: TraceEvent): void {
    this.#options.watcher.traced(event);
  }

  fetch(life: Life, input: string | URL | Request, init: RequestInit): Promise<Response> {
    return this.#options.network.fetch(life, input, init);
  }

  holdLock(life: Life, name: string, work: () => Promise<void>): Promise<void> {
    return this.#locks.hold(life, name, { clientId: "worker", mode: "exclusive" }, work);
  }

  lockHolders(name: string): readonly string[] {
    return this.#locks.clientIds(name);
  }

  /** Whether this life holds the lock of the one that drives. */
  isDriver(life: Life, name: string): boolean {
    return this.#locks.holders(name).includes(life);
  }

  windows(): readonly PageClient[] {
    return [...this.tabs];
  }

  openDatabase(life: Life) {
    return this.#options.databases.open(life, this.clock);
  }

  backgroundFetch(life: Life) {
    if (!this.hasBackgroundFetch) return undefined;
    return {
      getIds: async () => {
        if (this.backgroundFetchFaults > 0) {
          this.backgroundFetchFaults -= 1;
          await life.deliver(undefined, 1);
          throw new DOMException("the service is not there", "InvalidStateError");
        }
        return life.deliver(this.transfers.ids, 1);
      },
      get: (id: string) => {
        const found = this.transfers.find(id);
        return life.deliver(found && registrationOf(found, life), 1);
      },
    } as WorkerHost["backgroundFetch"] extends (life: Life) => infer Manager ? Manager : never;
  }

  #pageBackgroundFetch(tab: SimTab) {
    if (!this.hasBackgroundFetch) return undefined;
    return {
      getIds: () => tab.life.deliver(this.transfers.ids, 1),
      fetch: async (id: string, requests: readonly Request[]) => {
        this.transfers.start(
          id,
          requests.map(
            (request): BackgroundRequest => ({
              url: new URL(request.url),
              headers: request.headers,
              body: bodyOf(request),
              request,
            }),
          ),
        );
      },
    };
  }

  // What happens to the whole browser.

  killWorker(): void {
    this.worker?.life.end();
  }

  /** The process is gone, and all that was in its memory. */
  kill(): void {
    this.isRunning = false;
    for (const tab of [...this.tabs]) tab.crash();
    this.killWorker();
    this.sync.stop();
    this.#options.relay.cut();
    this.#locks = new LockManager();
  }

  start(): void {
    this.isRunning = true;
    this.sync.start();
    this.transfers.restart();
    this.#activateWaiting();
  }

  networkChanged(): void {
    if (this.network.onLine) {
      for (const tab of this.tabs) tab.life.soon(() => tab.fire("online"));
      this.worker?.networkChanged();
    }
    if (this.#options.network.isOnline) {
      this.sync.start();
      this.transfers.resume();
      this.transfers.deviceChanged();
    } else this.#options.relay.cut();
  }
}

function bodyOf(request: Request): Blob {
  const { content } = request as unknown as InMemoryRequest;
  return content instanceof Blob ? content : new Blob([]);
}

function registrationOf(fetch: NonNullable<ReturnType<SimBackgroundFetch["find"]>>, life: Life) {
  return {
    id: fetch.id,
    matchAll: async () =>
      fetch.records.map((record) => {
        const responseReady = life.deliver(record.responseReady);
        // Nobody need wait for it.
        responseReady.catch(() => {});
        return { request: record.sent.request, responseReady };
      }),
  };
}
