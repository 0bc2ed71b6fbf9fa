import { partByteRange } from "../core/part-plan.ts";
import { inStartOrder, planPartRanges } from "../core/part-ranges.ts";
import { RELAY_TOKEN_HEADER, relayUrl } from "../core/relay-url.ts";
import type { UploadSnapshot } from "../core/snapshot.ts";
import {
  type BelievedOwner,
  FETCH_PREFIX,
  handOverLock,
  type Parcel,
  type Parcels,
  type PartsBroadcast,
  PROTOCOL_VERSION,
  partsChannel,
  type ScopedName,
} from "../protocol/protocol.ts";
import type { Connection } from "./connection.ts";

interface KeptParcel extends Omit<Parcel, "done"> {
  readonly done: Set<number>;
}

export interface KeeperOptions {
  readonly registration: ServiceWorkerRegistration;
  readonly connection: Connection;
  readonly name: ScopedName;
  /** The app's own headers for its server. */
  readonly auth: () => Readonly<Record<string, string>>;
  readonly owner: () => BelievedOwner;
}

/**
 * One of the app's windows, the one with the Web Lock, keeps at hand what is still to be sent, and leaves it to the
 * browser when it goes: only a window can start a Background Fetch, and in `pagehide` there is no time to ask anybody.
 */
export class Keeper {
  readonly #options: KeeperOptions;
  readonly #parcels = new Map<string, KeptParcel>();
  /** Uploads that were handed over at once, as the app wished. */
  readonly #wishes = new Set<string>();
  readonly #partsChannel: BroadcastChannel;
  #relay: string | null = null;
  #isKeeper = false;
  /** Uploads whose parcel was asked for. There is none if the app wants the worker only. */
  readonly #asked = new Set<string>();
  #fetching: Promise<void> = Promise.resolve();
  #leaving = new AbortController();

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#partsChannel = new BroadcastChannel(partsChannel(options.name));
    this.#partsChannel.onmessage = ({ data }: MessageEvent<PartsBroadcast>) => {
      if (data?.backhaul !== PROTOCOL_VERSION) return;
      const parcel = this.#parcels.get(data.id);
      for (const partNumber of data.partNumbers) parcel?.done.add(partNumber);
    };
  }

  /** Waits to become the keeper, as long as this page lives. */
  start(): void {
    this.#leaving = new AbortController();
    const { signal } = this.#leaving;
    const left = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    navigator.locks
      .request(handOverLock(this.#options.name), { signal }, async () => {
        this.#isKeeper = true;
        this.#openWay();
        void this.#fetchParcels();
        // What the last keeper has left to the browser comes back to the worker.
        this.#options.connection.call((api) => api.takeBack()).catch(() => {});
        await left;
      })
      .catch(() => {});
  }

  /** To be called on every change of the list. */
  look(uploads: readonly UploadSnapshot[]): void {
    if (!this.#isKeeper) return;
    const unfinished = new Set<string>();
    for (const { id, state, reason } of uploads) {
      if (state === "waiting" && reason !== "conditions") unfinished.add(id);
      if (state !== "uploading") continue;
      unfinished.add(id);
      if (this.#asked.has(id)) continue;
      this.#asked.add(id);
      void this.#fetchParcels();
    }
    for (const id of this.#parcels.keys()) if (!unfinished.has(id)) this.#parcels.delete(id);
    for (const id of this.#asked) if (!unfinished.has(id)) this.#asked.delete(id);
  }

  /** Another worker answers: its parts may have been confirmed unheard. */
  refresh(): void {
    if (this.#isKeeper) void this.#fetchParcels();
  }

  /** For `pagehide`: everything here happens at once. */
  leave(): void {
    if (this.#isKeeper) {
      const left = [...this.#parcels.values()].filter(({ id }) => !this.#wishes.has(id));
      this.#handOver(left, { isImmediate: false });
    }
    this.#isKeeper = false;
    this.#leaving.abort();
  }

  close(): void {
    this.#isKeeper = false;
    this.#leaving.abort();
    this.#partsChannel.close();
  }

  /**
   * Chromium connects a page with its Background Fetch service at the first call. If that is the one in `pagehide`, the tab
   * may be gone before the connection is there, and the call is lost.
   */
  #openWay(): void {
    this.#options.registration.backgroundFetch?.getIds().catch(() => {});
  }

  /** One after another: an answer that was already on its way may not know of the latest upload. */
  #fetchParcels(): Promise<void> {
    this.#fetching = this.#fetching
      .then(() => this.#options.connection.call((api) => api.parcels(this.#options.owner())))
      .then(
        (parcels) => this.#take(parcels),
        () => {},
      );
    return this.#fetching;
  }

  #take({ relay, parcels }: Parcels): void {
    this.#relay = relay;
    for (const parcel of parcels) {
      const before = this.#parcels.get(parcel.id);
      // Parts that were confirmed while the answer was on its way; but not those of an upload that had to begin anew.
      const done = new Set([...parcel.done, ...(before?.token === parcel.token ? before.done : [])]);
      this.#parcels.set(parcel.id, { ...parcel, done });
    }
    const wishes = parcels
      .filter(({ id, isImmediate }) => isImmediate && !this.#wishes.has(id))
      .map(({ id }) => id);
    for (const id of wishes) this.#wishes.add(id);
    if (this.#isKeeper)
      this.#handOver(
        wishes.flatMap((id) => this.#parcels.get(id) ?? []),
        { isImmediate: true },
      );
  }

  #handOver(parcels: readonly KeptParcel[], { isImmediate }: { readonly isImmediate: boolean }): void {
    const { registration, connection, auth } = this.#options;
    const relay = this.#relay;
    if (!registration.backgroundFetch || relay === null || parcels.length === 0) return;
    const runs = planPartRanges(
      parcels.map(({ id, plan, done }) => ({
        uploadId: id,
        plan,
        isDone: (partNumber) => done.has(partNumber),
      })),
    );
    if (runs.length === 0) return;
    const id = crypto.randomUUID();
    const requests = inStartOrder(runs).map((run) => {
      const { plan, bytes, token } = this.#parcels.get(run.uploadId) as KeptParcel;
      const { start } = partByteRange(plan, run.first);
      const { end } = partByteRange(plan, run.first + run.count - 1);
      return new Request(relayUrl(relay, run, id), {
        method: "PUT",
        headers: { ...auth(), [RELAY_TOKEN_HEADER]: token },
        body: bytes.slice(start, end),
      });
    });
    const fetchId = FETCH_PREFIX + id;
    const files = parcels.length === 1 ? "1 file" : `${parcels.length} files`;
    // Refused, or the page gone before the answer: then the worker goes on as long as it lives, and later on.
    registration.backgroundFetch.fetch(fetchId, requests, { title: `Uploading ${files}` }).catch(() => {
      for (const { id } of parcels) this.#wishes.delete(id);
    });
    connection.handedOver(fetchId, runs, isImmediate);
  }
}
