import type { PageEventType, PagePlatform } from "../../../src/page/platform.ts";
import { PageUploads } from "../../../src/page/uploads.ts";
import type { VirtualTime } from "../../support/virtual-time.ts";
import { Life } from "./life.ts";
import { APP_ORIGIN } from "./network.ts";

/** What the browser gives its pages. */
export interface TabHost {
  readonly time: VirtualTime;
  readonly clock: { now(): number };
  uuid(): string;
  postToWorker(tab: SimTab, message: unknown): void;
  holdLock: PagePlatform["locks"]["hold"] extends (...rest: infer Rest) => infer Result
    ? (tab: SimTab, ...rest: Rest) => Result
    : never;
  registerSync(tag: string): void;
  backgroundFetch(tab: SimTab): PagePlatform["backgroundFetch"];
}

/** One page of the app: the real page's code, on a simulated platform. */
export class SimTab {
  readonly id: string;
  readonly life: Life;
  readonly #host: TabHost;
  readonly #listeners = new Map<PageEventType, Set<(event: { isPersisted: boolean }) => void>>();
  readonly #messages = new Set<(message: unknown, answer: (message: unknown) => void) => void>();
  readonly #channels = new Map<string, Set<(message: unknown) => void>>();
  readonly uploads: PageUploads;
  isFrozen = false;

  constructor(host: TabHost) {
    this.#host = host;
    this.id = host.uuid();
    this.life = new Life(host.time);
    this.uploads = new PageUploads(this.#platform());
  }

  get url(): string {
    return `${APP_ORIGIN}/`;
  }

  /** A message of the worker's. */
  postMessage(message: unknown): void {
    const answer = (reply: unknown) => this.#host.postToWorker(this, reply);
    this.life.after(1, () => {
      for (const listener of [...this.#messages]) listener(message, answer);
    });
  }

  hear(channel: string, message: unknown): void {
    this.life.after(1, () => {
      for (const listener of [...(this.#channels.get(channel) ?? [])]) listener(message);
    });
  }

  fire(type: PageEventType, isPersisted = false): void {
    for (const listener of [...(this.#listeners.get(type) ?? [])]) listener({ isPersisted });
  }

  /** Its user closes it, or goes elsewhere. */
  close(): void {
    if (!this.life.isAlive) return;
    this.life.thaw();
    this.fire("pagehide");
    this.life.end();
  }

  crash(): void {
    this.life.end();
  }

  freeze(): void {
    this.isFrozen = true;
    this.life.freeze();
  }

  thaw(): void {
    this.isFrozen = false;
    this.life.thaw();
  }

  #platform(): PagePlatform {
    const host = this.#host;
    const { life } = this;
    return {
      clock: {
        now: () => host.clock.now(),
        after: (ms, callback) => life.after(ms, callback),
        every: (ms, callback) => life.every(ms, callback),
      },
      uuid: () => host.uuid(),
      worker: {
        scope: `${APP_ORIGIN}/`,
        post: (message) => host.postToWorker(this, message),
        onMessage: (listener) => {
          this.#messages.add(listener);
          return () => this.#messages.delete(listener);
        },
        successor: "none",
        update: async () => {},
        restore: async () => {},
        canSync: true,
        registerPeriodicSync: async () => {},
        registerSync: async (tag) => {
          await life.deliver(undefined, 1);
          host.registerSync(tag);
        },
      },
      locks: { hold: (name, options, work) => host.holdLock(this, name, options, work) },
      backgroundFetch: host.backgroundFetch(this),
      isMobile: false,
      // What is found out by a probe is no part of the simulation: all bodies come through there.
      fetch: () => Promise.reject(new TypeError("Failed to fetch")),
      openChannel: (name, listener) => {
        const listeners = this.#channels.get(name) ?? new Set();
        this.#channels.set(name, listeners);
        listeners.add(listener);
        return { close: () => listeners.delete(listener) };
      },
      on: (type, listener) => {
        const listeners = this.#listeners.get(type) ?? new Set();
        this.#listeners.set(type, listeners);
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      yieldThread: () => life.deliver(undefined, 0),
      persistStorage: () => {},
    };
  }
}
