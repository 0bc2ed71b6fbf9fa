import { explained } from "../core/error-messages.ts";
import type { UploadSnapshot, WireSnapshot } from "../core/snapshot.ts";
import {
  type Broadcast,
  type ListMark,
  PROTOCOL_VERSION,
  type ScopedName,
  type UploadList,
} from "../protocol/protocol.ts";
import type { PagePlatform } from "./platform.ts";

/** A function that is called with all uploads, in the order they were added: at once, and on every change. */
export type ListListener = (uploads: readonly UploadSnapshot[]) => void;

/** The worker sends a broadcast at most 100 ms after the change. */
const BROADCAST_OVERDUE_MS = 1_000;

export interface ListSource {
  readonly fetchList: () => Promise<UploadList>;
  /** The worker has died, and another one answers. */
  readonly onNewWorker: () => void;
}

/** This page's copy of the worker's list: fetched once by a call, then kept up to date by broadcasts. */
export class UploadListMirror {
  readonly #clock: PagePlatform["clock"];
  readonly #channel: { close(): void };
  readonly #source: ListSource;
  readonly #byId = new Map<string, UploadSnapshot>();
  readonly #listeners = new Set<ListListener>();
  hasRelay = false;
  #epoch: string | undefined;
  #sequence = 0;
  #sorted: readonly UploadSnapshot[] | undefined;
  /** Broadcasts that came while the list they build on was being fetched. */
  #early: Broadcast[] = [];
  #refreshing: Promise<void> | undefined;

  constructor(
    name: ScopedName,
    { clock, openChannel }: Pick<PagePlatform, "clock" | "openChannel">,
    source: ListSource,
  ) {
    this.#clock = clock;
    this.#source = source;
    this.#channel = openChannel(name, (message) => {
      const broadcast = message as Broadcast | null;
      if (broadcast?.backhaul === PROTOCOL_VERSION && broadcast.type === "changed") this.#receive(broadcast);
    });
  }

  list(): readonly UploadSnapshot[] {
    this.#sorted ??= [...this.#byId.values()].sort((a, b) => a.order - b.order);
    return this.#sorted;
  }

  get(id: string): UploadSnapshot | undefined {
    return this.#byId.get(id);
  }

  /** Calls back at once with the list, then with each change of it, until undone. */
  subscribe(listener: ListListener): () => void {
    this.#listeners.add(listener);
    listener(this.list());
    return () => this.#listeners.delete(listener);
  }

  /** Fetches the whole list anew. A fetch that is under way already serves, since its answer can only be newer than this call. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  /** Waits until the list shows what had happened at the mark. */
  async reaches({ epoch, sequence }: ListMark): Promise<void> {
    if (epoch === this.#epoch && sequence > this.#sequence)
      await new Promise<void>((resolve) => {
        const undo = this.subscribe(() => {
          if (epoch === this.#epoch && sequence > this.#sequence) return;
          undoOverdue();
          resolve();
          queueMicrotask(() => undo());
        });
        // The worker has died before it could tell.
        const undoOverdue = this.#clock.after(
          BROADCAST_OVERDUE_MS,
          () => void this.refresh().then(resolve, resolve).finally(undo),
        );
      });
    if (epoch !== this.#epoch) await this.refresh();
  }

  close(): void {
    this.#channel.close();
    this.#listeners.clear();
  }

  async #refresh(): Promise<void> {
    try {
      const { epoch, sequence, uploads, hasRelay } = await this.#source.fetchList();
      this.hasRelay = hasRelay;
      if (this.#epoch !== undefined && this.#epoch !== epoch) this.#source.onNewWorker();
      this.#epoch = epoch;
      this.#sequence = sequence;
      this.#byId.clear();
      for (const upload of uploads) this.#byId.set(upload.id, forPage(upload));
    } finally {
      // Should the list not have come, these broadcasts still follow what is known.
      for (const broadcast of this.#early.splice(0)) if (this.#isNext(broadcast)) this.#include(broadcast);
      this.#emit();
    }
  }

  #receive(broadcast: Broadcast): void {
    if (this.#refreshing) this.#early.push(broadcast);
    // Another life of the worker: what the last one did in its last moments is not known here.
    else if (broadcast.epoch !== this.#epoch) void this.refresh().catch(() => {});
    else if (this.#isNext(broadcast)) {
      this.#include(broadcast);
      this.#emit();
    }
  }

  #isNext({ epoch, sequence }: Broadcast): boolean {
    return epoch === this.#epoch && sequence > this.#sequence;
  }

  #include({ sequence, changed, removed }: Broadcast): void {
    this.#sequence = sequence;
    for (const id of removed) this.#byId.delete(id);
    for (const upload of changed) this.#byId.set(upload.id, forPage(upload));
  }

  #emit(): void {
    this.#sorted = undefined;
    for (const listener of this.#listeners) listener(this.list());
  }
}

function forPage(upload: WireSnapshot): UploadSnapshot {
  return { ...upload, error: upload.error && explained(upload.error) };
}
