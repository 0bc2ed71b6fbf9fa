import { createHash } from "node:crypto";
import type { StorageLimits } from "../../../src/core/limits.ts";
import type { TraceEvent } from "../../../src/core/trace.ts";
import type { UploadDatabase } from "../../../sw/database/upload-database.ts";
import type { ChecksumAlgorithm } from "../../../sw/parts/checksums.ts";
import type { PageClient, Platform, WorkerEventMap } from "../../../sw/platform/platform.ts";
import { serve } from "../../../sw/serve.ts";
import { createHttpStorage } from "../../../sw/storage/http-storage.ts";
import { checkOptions } from "../../../sw/worker-options.ts";
import type { VirtualTime } from "../../support/virtual-time.ts";
import { Life } from "./life.ts";
import { APP_ORIGIN } from "./network.ts";
import { digestOf, fingerprint } from "./sim-file.ts";

/** A worker without an event is stopped after so long; no event may run longer than these. */
const IDLE_MS = 30_000;
const EVENT_MS = 300_000;
const SYNC_MS = 180_000;

/** What the browser gives its workers. */
export interface WorkerHost {
  readonly time: VirtualTime;
  readonly clock: { now(): number; msOfDay(): number };
  readonly limits: StorageLimits;
  random(): number;
  uuid(): string;
  fetch(life: Life, input: string | URL | Request, init: RequestInit): Promise<Response>;
  readonly network: { readonly onLine: boolean; readonly connection: { readonly type?: string } | undefined };
  holdLock(life: Life, name: string, work: () => Promise<void>): Promise<void>;
  lockHolders(name: string): readonly string[];
  windows(): readonly PageClient[];
  readonly cookies: Map<string, string>;
  broadcast(name: string, message: unknown): void;
  openDatabase(life: Life): Promise<UploadDatabase>;
  backgroundFetch(life: Life): Platform["backgroundFetch"];
  hasWaitingVersion(worker: SimWorker): boolean;
  workerEnded(worker: SimWorker): void;
  /** What the worker says of its own steps. */
  trace(event: TraceEvent): void;
}

/** MD5 stands for itself: digests are made of what names the bytes. */
const simMd5: ChecksumAlgorithm = {
  kind: "md5",
  digest: async (bytes) => digestOf(fingerprint(bytes)),
};

/** One life of a service worker: the real one's code, on a simulated platform. */
export class SimWorker {
  readonly life: Life;
  readonly version: number;
  readonly #host: WorkerHost;
  readonly #listeners = new Map<keyof WorkerEventMap, ((event: never) => void)[]>();
  readonly #networkListeners: (() => void)[] = [];
  readonly #versionListeners: (() => void)[] = [];
  #running = 0;
  #undoIdle = () => {};

  constructor(host: WorkerHost, version: number) {
    this.#host = host;
    this.version = version;
    this.life = new Life(host.time);
    this.life.onEnd(() => host.workerEnded(this));
    serve({
      platform: this.#platform(),
      openDatabase: () => host.openDatabase(this.life),
      storage: createHttpStorage({ endpoint: `${APP_ORIGIN}/uploads` }, this.#platform()),
      options: checkOptions({
        checksum: simMd5,
        multipartThresholdBytes: host.limits.minPartBytes * 2,
        trace: (event) => host.trace(event),
      }),
      limits: host.limits,
    });
    this.#rest();
  }

  /** Fires an event. Settles with what it was extended by; rejects as that does, or if the worker is stopped over it. */
  fire<Type extends keyof WorkerEventMap>(type: Type, fields: object = {}): Promise<void> {
    this.#undoIdle();
    this.#running += 1;
    const extensions: Promise<unknown>[] = [];
    const event = { ...fields, type, waitUntil: (until: Promise<unknown>) => extensions.push(until) };
    for (const listener of this.#listeners.get(type) ?? []) listener(event as never);
    const all = Promise.all(extensions).then(() => {});
    return new Promise((resolve, reject) => {
      const undoLimit = this.#host.time.after(type === "sync" ? SYNC_MS : EVENT_MS, () => this.life.end());
      const end = (settle: () => void) => {
        undoLimit();
        if (this.life.isAlive) {
          this.#running -= 1;
          if (this.#running === 0) this.#rest();
        }
        settle();
      };
      this.life.onEnd(() => end(() => reject(new Error("the worker was stopped"))));
      all.then(
        () => this.life.isAlive && end(resolve),
        (error: unknown) => this.life.isAlive && end(() => reject(error)),
      );
    });
  }

  networkChanged(): void {
    for (const listener of this.#networkListeners) listener();
  }

  newVersionChanged(): void {
    for (const listener of this.#versionListeners) this.life.soon(listener);
  }

  /** No event runs in it. */
  get isIdle(): boolean {
    return this.#running === 0;
  }

  #rest(): void {
    this.#undoIdle();
    this.#undoIdle = this.#host.time.after(IDLE_MS, () => this.life.end());
  }

  #platform(): Platform {
    const host = this.#host;
    const { life } = this;
    const worker = this;
    return {
      clock: {
        now: () => host.clock.now(),
        elapsed: () => host.time.elapsed,
        msOfDay: () => host.clock.msOfDay(),
        after: (ms, callback) => life.after(ms, callback),
        every: (ms, callback) => life.every(ms, callback),
      },
      random: () => host.random(),
      uuid: () => host.uuid(),
      sha256: async (text: string) => createHash("sha256").update(text).digest(),
      fetch: (input, init) => host.fetch(life, input, init),
      network: {
        get isOnline() {
          return host.network.onLine;
        },
        get connection() {
          return host.network.connection;
        },
        onChange: (callback) => this.#networkListeners.push(callback),
      },
      locks: {
        hold: (name, work) => host.holdLock(life, name, work),
        holders: (name) => life.deliver(host.lockHolders(name), 1),
      },
      clients: { windows: () => life.deliver(host.windows(), 1) },
      cookies: {
        get: (name) => life.deliver(host.cookies.get(name), 1),
        set: (name, value) => {
          host.cookies.set(name, value);
          return life.deliver(undefined, 1);
        },
      },
      worker: {
        scope: `${APP_ORIGIN}/`,
        url: `${APP_ORIGIN}/sw.js`,
        get hasWaitingVersion() {
          return host.hasWaitingVersion(worker);
        },
        onNewVersion: (callback) => this.#versionListeners.push(callback),
      },
      backgroundFetch: host.backgroundFetch(life),
      openChannel: (name) => ({
        post: (message) => life.isAlive && host.broadcast(name, structuredClone(message)),
        close: () => {},
      }),
      storageEstimate: () => life.deliver({}, 1),
      on: (type, listener) => {
        this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
      },
    };
  }
}
