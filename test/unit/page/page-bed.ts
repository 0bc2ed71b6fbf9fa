import type { WireSnapshot } from "../../../src/core/snapshot.ts";
import type { PageEventType, PagePlatform } from "../../../src/page/platform.ts";
import { type PageOptions, PageUploads } from "../../../src/page/uploads.ts";
import { type Broadcast, PROTOCOL_VERSION } from "../../../src/protocol/protocol.ts";
import { PartLedger } from "../../../sw/model/part-ledger.ts";
import { startProgress } from "../../../sw/model/progress.ts";
import { snapshotOf } from "../../../sw/model/snapshot.ts";
import { virtualClock } from "../../support/virtual-clock.ts";
import { VirtualTime } from "../../support/virtual-time.ts";
import { records } from "../records.ts";
import { FakeWorker } from "./worker-link.ts";

export function snapshot(id: string, changes: Partial<WireSnapshot> = {}): WireSnapshot {
  const record = { ...records.queued, id };
  const source = { record, ledger: new PartLedger(record.plan), lane: "worker", faults: 0 } as const;
  return { ...snapshotOf(source, startProgress(0, 0), 0), ...changes };
}

/** A page under virtual time, and the worker that it talks to. */
export class PageBed {
  readonly time = new VirtualTime();
  readonly clock = virtualClock(this.time);
  readonly worker = new FakeWorker();
  readonly uploads: PageUploads;
  /** What the worker has. */
  list: WireSnapshot[] = [];
  readonly lockRequests: { readonly name: string; readonly signal: AbortSignal }[] = [];
  epoch = "e";
  sequence = 0;
  readonly #channels = new Map<string, (message: unknown) => void>();
  readonly #listeners = new Map<PageEventType, Set<(event: { readonly isPersisted: boolean }) => void>>();

  constructor(readonly isMobile = false) {
    const command = () => ({ ok: true as const, value: { epoch: this.epoch, sequence: this.sequence } });
    for (const name of ["add", "pause", "resume", "visit", "setOwner", "setAuth", "takeBack"])
      this.worker.replies.set(name, command);
    this.worker.replies.set("list", () => ({
      ok: true,
      value: { epoch: this.epoch, sequence: this.sequence, uploads: this.list, hasRelay: false, rest: null },
    }));
    this.uploads = new PageUploads(this.#platform());
  }

  async open(options: PageOptions = {}): Promise<void> {
    const opened = this.uploads.open(options);
    await this.time.settle();
    await opened;
    await this.time.settle();
  }

  /** The worker changes its list. @param isHeard whether the broadcast of it arrives */
  change(upload: WireSnapshot, { isHeard = true } = {}): void {
    this.sequence += 1;
    this.list = [...this.list.filter(({ id }) => id !== upload.id), upload];
    const { epoch, sequence } = this;
    const envelope = { backhaul: PROTOCOL_VERSION, type: "changed" } as const;
    const place = { epoch, sequence, slice: 0, isLast: true };
    const broadcast: Broadcast = { ...envelope, ...place, changed: [upload], removed: [] };
    if (isHeard) this.#channels.get(`backhaul:${this.worker.scope}`)?.(broadcast);
  }

  fire(type: PageEventType, isPersisted = false): void {
    for (const listener of [...(this.#listeners.get(type) ?? [])]) listener({ isPersisted });
  }

  /** How often the worker was called by this name. */
  callsOf(name: string): number {
    return this.worker.calls.filter((call) => call.name === name).length;
  }

  get wakes(): number {
    return this.worker.heard.filter(({ type }) => type === "wake").length;
  }

  #platform(): PagePlatform {
    let ids = 0;
    return {
      clock: this.clock,
      uuid: () => `00000000-0000-4000-8000-${String(ids++).padStart(12, "0")}`,
      worker: this.worker,
      // The locks are somebody else's, as far as these tests go.
      locks: {
        hold: (name, { signal }) => {
          this.lockRequests.push({ name, signal });
          return new Promise(() => {});
        },
      },
      backgroundFetch: undefined,
      isMobile: this.isMobile,
      fetch: () => Promise.reject(new TypeError("Failed to fetch")),
      openChannel: (name, listener) => {
        this.#channels.set(name, listener);
        return { close: () => this.#channels.delete(name) };
      },
      on: (type, listener) => {
        const listeners = this.#listeners.get(type) ?? new Set();
        this.#listeners.set(type, listeners);
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      yieldThread: async () => {},
      persistStorage: () => {},
    };
  }
}
