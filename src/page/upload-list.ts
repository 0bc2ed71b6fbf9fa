import { explained } from "../core/error-messages.ts";
import type { UploadError, UploadErrorWire } from "../core/errors.ts";
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

/** The worker sends a broadcast at most 150 ms after the change. */
const BROADCAST_OVERDUE_MS = 1_000;
/** While uploads move there are broadcasts all the time. After so long a silence the list is compared with the worker's. */
const SILENCE_MS = 30_000;

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
  /** Messages that have come of the broadcast after that. */
  #slicesHeard = 0;
  #sorted: readonly UploadSnapshot[] | undefined;
  /** Broadcasts that came while the list they build on was being fetched. */
  #early: Broadcast[] = [];
  #refreshing: Promise<void> | undefined;
  /** A broadcast is missing between what is known here and what came last. */
  #hasGap = false;
  #heardSinceCheck = false;
  #isClosed = false;
  /** Those who wait for a mark. */
  readonly #waiting = new Set<() => void>();
  readonly #stopChecking: () => void;

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
    this.#stopChecking = clock.every(SILENCE_MS, () => this.#check());
  }

  list(): readonly UploadSnapshot[] {
    this.#sorted ??= inOrder([...this.#byId.values()]);
    return this.#sorted;
  }

  get(id: string): UploadSnapshot | undefined {
    return this.#byId.get(id);
  }

  /** Calls back at once with the list, then with each change of it, until undone. What a listener throws is reported. */
  subscribe(listener: ListListener): () => void {
    // Of its own, so that the same function can listen twice.
    const each: ListListener = (uploads) => listener(uploads);
    if (!this.#isClosed) this.#listeners.add(each);
    this.#tell(each);
    return () => this.#listeners.delete(each);
  }

  /** Fetches the whole list anew. A fetch that is under way already serves, since its answer can only be newer than this call. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  /** Waits until the list shows what had happened at the mark. */
  async reaches(mark: ListMark): Promise<void> {
    if (this.#isBefore(mark)) await this.#waitFor(mark);
    if (mark.epoch !== this.#epoch && !this.#isClosed) await this.refresh();
  }

  /** Nobody is told anything any more. Whoever waits for a mark has waited long enough. */
  close(): void {
    this.#isClosed = true;
    this.#stopChecking();
    this.#channel.close();
    this.#listeners.clear();
    for (const resolve of [...this.#waiting]) resolve();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  #isBefore({ epoch, sequence }: ListMark): boolean {
    return epoch === this.#epoch && sequence > this.#sequence && !this.#isClosed;
  }

  #waitFor(mark: ListMark): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        undoOverdue();
        this.#listeners.delete(listener);
        this.#waiting.delete(end);
        resolve();
      };
      const listener = () => {
        if (!this.#isBefore(mark)) end();
      };
      this.#listeners.add(listener);
      this.#waiting.add(end);
      // The worker has died before it could tell, or what it told was lost.
      const undoOverdue = this.#clock.after(BROADCAST_OVERDUE_MS, () => void this.refresh().then(end, end));
    });
  }

  async #refresh(): Promise<void> {
    try {
      const { epoch, sequence, uploads, hasRelay } = await this.#source.fetchList();
      this.hasRelay = hasRelay;
      if (this.#epoch !== undefined && this.#epoch !== epoch) this.#source.onNewWorker();
      this.#epoch = epoch;
      this.#sequence = sequence;
      this.#slicesHeard = 0;
      this.#hasGap = false;
      const before = new Map(this.#byId);
      this.#byId.clear();
      this.#put(uploads, before);
    } finally {
      // Should the list not have come, these broadcasts still follow what is known.
      for (const broadcast of this.#early.splice(0)) if (this.#isNew(broadcast)) this.#include(broadcast);
      this.#emit();
    }
  }

  #receive(broadcast: Broadcast): void {
    this.#heardSinceCheck = true;
    if (this.#refreshing) this.#early.push(broadcast);
    // Another life of the worker: what the last one did in its last moments is not known here.
    else if (broadcast.epoch !== this.#epoch) this.#refreshUnlessClosed();
    else if (this.#isNew(broadcast)) {
      this.#include(broadcast);
      if (!broadcast.isLast) return;
      this.#emit();
      if (this.#hasGap) this.#refreshUnlessClosed();
    }
  }

  /** The last broadcast of all has none after it that would show that it was lost. */
  #check(): void {
    const isQuiet = !this.#heardSinceCheck;
    this.#heardSinceCheck = false;
    if (this.#hasGap || (isQuiet && this.list().some(isMoving))) this.#refreshUnlessClosed();
  }

  #refreshUnlessClosed(): void {
    if (!this.#isClosed) void this.refresh().catch(() => {});
  }

  #isNew({ epoch, sequence }: Broadcast): boolean {
    return epoch === this.#epoch && sequence > this.#sequence;
  }

  #include({ sequence, slice, isLast, changed, removed }: Broadcast): void {
    this.#hasGap ||= sequence > this.#sequence + 1 || slice !== this.#slicesHeard;
    this.#slicesHeard = isLast ? 0 : slice + 1;
    if (isLast) this.#sequence = sequence;
    for (const id of removed) this.#byId.delete(id);
    this.#put(changed, this.#byId);
  }

  #put(uploads: readonly WireSnapshot[], before: ReadonlyMap<string, UploadSnapshot>): void {
    let error: UploadError | null = null;
    for (const upload of uploads) {
      const known = before.get(upload.id);
      // Thousands may wait for the same reason, and an error is costly to make.
      error = upload.error && (asBefore(upload.error, known?.error, error) ?? explained(upload.error));
      this.#byId.set(upload.id, forPage(upload, known, error));
    }
  }

  #emit(): void {
    this.#sorted = undefined;
    for (const listener of [...this.#listeners]) if (this.#listeners.has(listener)) this.#tell(listener);
  }

  /** A listener that throws is the app's own trouble, and nobody else's. */
  #tell(listener: ListListener): void {
    try {
      listener(this.list());
    } catch (error) {
      report(error);
    }
  }
}

function isMoving({ state }: UploadSnapshot): boolean {
  return state === "queued" || state === "uploading" || state === "completing";
}

/**
 * @param before as the page had it: a new worker knows only what S3 has confirmed, and no bar goes back because the one before
 *   has died
 */
function forPage(
  upload: WireSnapshot,
  before: UploadSnapshot | undefined,
  error: UploadError | null,
): UploadSnapshot {
  const isFurther = before !== undefined && upload.uploadedBytes >= before.uploadedBytes;
  const estimatedBytes = Math.max(upload.estimatedBytes, isFurther ? before.estimatedBytes : 0);
  return { ...upload, estimatedBytes, error };
}

/** The one of these errors that says the same. */
function asBefore(
  { code, detail }: UploadErrorWire,
  ...before: readonly (UploadError | null | undefined)[]
): UploadError | undefined {
  return before.find((error) => error?.code === code && error.detail === detail) ?? undefined;
}

/** Nearly always they are so already, which takes far less time to see than to sort them. */
function inOrder(uploads: UploadSnapshot[]): readonly UploadSnapshot[] {
  const isSorted = uploads.every(
    ({ order }, index) => index === 0 || (uploads[index - 1]?.order ?? 0) <= order,
  );
  return isSorted ? uploads : uploads.sort((a, b) => a.order - b.order);
}

/** As an error that nobody has caught, so that the app's own reporting hears of it. */
function report(error: unknown): void {
  if (typeof reportError === "function") reportError(error);
  else console.error(error);
}
