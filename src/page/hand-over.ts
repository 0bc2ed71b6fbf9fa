import { partByteRange } from "../core/part-plan.ts";
import { inStartOrder, planPartRanges } from "../core/part-ranges.ts";
import { RELAY_TOKEN_HEADER, relayUrl } from "../core/relay-url.ts";
import type { UploadSnapshot } from "../core/snapshot.ts";
import {
  type BelievedOwner,
  FETCH_PREFIX,
  type HandOverCandidate,
  type HandOverCandidates,
  handOverLock,
  type PartsBroadcast,
  PROTOCOL_VERSION,
  partsChannel,
  type ScopedName,
  tokenMark,
} from "../protocol/protocol.ts";
import type { Connection } from "./connection.ts";
import { fitRanges } from "./fit-ranges.ts";
import type { PagePlatform } from "./platform.ts";
import { probeRelay, type RelayReach } from "./probe-relay.ts";

/**
 * What is to be handed over at once is gathered for so long: files that were added together begin one after another, and
 * Chromium lets a page start one Background Fetch after each gesture of its user.
 */
const GATHER_MS = 1_000;

interface Candidate extends Omit<HandOverCandidate, "done"> {
  readonly done: Set<number>;
}

export interface HandOverOptions {
  readonly platform: Pick<
    PagePlatform,
    "backgroundFetch" | "clock" | "fetch" | "locks" | "openChannel" | "uuid"
  >;
  readonly connection: Connection;
  readonly name: ScopedName;
  /** The app's own headers for its server. */
  readonly auth: () => Readonly<Record<string, string>>;
  readonly owner: () => BelievedOwner;
}

/**
 * One of the app's windows, the one with the Web Lock, keeps at hand what is still to be sent, and hands it over to the
 * browser when it goes: only a window can start a Background Fetch, and in `pagehide` there is no time to ask anybody.
 */
export class HandOver {
  readonly #options: HandOverOptions;
  readonly #candidates = new Map<string, Candidate>();
  /** Uploads that were handed over with the page open, as the app wanted. */
  readonly #immediate = new Set<string>();
  /** Uploads that are not to move, as the list said last. */
  #resting: ReadonlySet<string> = new Set();
  readonly #partsChannel: { close(): void };
  #relay: string | null = null;
  #reach: RelayReach = { is: "unknown" };
  #hasProbed = false;
  /** What the link has carried lately, by all uploads together. */
  #bytesPerSecond: number | null = null;
  #holdsLock = false;
  /** Whether the lock was asked for, and not given back since. */
  #hasStarted = false;
  /** Uploads that the worker was asked about. It gives none that the app wants in the worker only. */
  readonly #asked = new Set<string>();
  #fetching: Promise<void> = Promise.resolve();
  /** The request that follows the one under way, for whoever asks meanwhile. */
  #nextFetch: Promise<void> | undefined;
  /** Parts may have been confirmed unheard: all candidates are asked for, and not only those that came since. */
  #asksAnew = true;
  /** Parts that were confirmed while an answer was on its way, by upload. */
  readonly #heard = new Map<string, Set<number>>();
  #isAsking = false;
  /** Ends the gathering under way. */
  #undoGather: (() => void) | undefined;
  #leaving = new AbortController();

  constructor(options: HandOverOptions) {
    this.#options = options;
    this.#partsChannel = options.platform.openChannel(partsChannel(options.name), (message) => {
      const broadcast = message as PartsBroadcast | null;
      if (broadcast?.backhaul !== PROTOCOL_VERSION) return;
      for (const partNumber of broadcast.partNumbers) this.#partsOf(broadcast.id)?.add(partNumber);
    });
  }

  /** Waits for the lock, as long as this page lives. If it does so already, or holds it, nothing changes. */
  start(): void {
    if (this.#hasStarted) return;
    this.#hasStarted = true;
    const { platform, connection, name } = this.#options;
    this.#leaving = new AbortController();
    const { signal } = this.#leaving;
    const left = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    platform.locks
      .hold(handOverLock(name), { mode: "exclusive", signal }, async () => {
        this.#holdsLock = true;
        this.#connectToBackgroundFetch();
        this.#asksAnew = true;
        void this.#fetchCandidates();
        // Uploads that the last page handed over to the browser come back to the worker.
        connection.call((api) => api.takeBack()).catch(() => {});
        await left;
      })
      .catch(() => {});
  }

  /** To be called on every change of the list. */
  update(uploads: readonly UploadSnapshot[]): void {
    this.#resting = new Set(uploads.filter(isResting).map(({ id }) => id));
    // The browser is told anew once they move again.
    for (const id of this.#resting) this.#immediate.delete(id);
    const bytesPerSecond = uploads.reduce((sum, upload) => sum + speedOf(upload), 0);
    if (bytesPerSecond > 0) this.#bytesPerSecond = bytesPerSecond;
    if (!this.#holdsLock) return;
    const unfinished = new Set<string>();
    for (const { id, state, reason } of uploads) {
      if (state === "waiting" && reason !== "conditions") unfinished.add(id);
      if (state !== "uploading") continue;
      unfinished.add(id);
      if (this.#asked.has(id)) continue;
      this.#asked.add(id);
      void this.#fetchCandidates();
    }
    for (const id of this.#candidates.keys()) if (!unfinished.has(id)) this.#candidates.delete(id);
    for (const id of this.#asked) if (!unfinished.has(id)) this.#asked.delete(id);
  }

  /** Another worker answers: parts may have been confirmed to the one before unheard. */
  refresh(): void {
    this.#asksAnew = true;
    if (this.#holdsLock) void this.#fetchCandidates();
  }

  /** What is known of the way to the relay. */
  get reach(): RelayReach {
    return this.#reach;
  }

  /** Whether the page would hand over all that is left of this upload; undefined where it is not the one that hands over. */
  canHandOver(id: string): boolean | undefined {
    if (!this.#holdsLock) return undefined;
    const candidate = this.#candidates.get(id);
    return (
      candidate !== undefined &&
      Math.min(candidate.plan.partSize, candidate.plan.size) <= maxBytesOf(this.#reach)
    );
  }

  /** Once for each page, beside everything else: nothing waits for it. */
  async #probe(): Promise<void> {
    const { platform, auth } = this.#options;
    const [first] = this.#candidates.values();
    if (this.#hasProbed || !platform.backgroundFetch || this.#relay === null || first === undefined) return;
    this.#hasProbed = true;
    const bytesToSend = [...this.#candidates.values()].reduce((sum, { plan }) => sum + plan.size, 0);
    this.#reach = await probeRelay(platform, this.#relay, { token: first.token, auth: auth(), bytesToSend });
    if (this.#reach.is === "missing")
      console.warn("backhaul: the server has no relay, so uploads stop when the last page has been closed.");
  }

  /** For `pagehide`, and whatever else may be the last: everything here happens at once. `start` takes it back. */
  leave(): void {
    this.#stopGathering();
    if (this.#holdsLock) {
      const candidates = [...this.#candidates.values()].filter(({ id }) => !this.#immediate.has(id));
      this.#handOver(candidates, { isImmediate: false });
    }
    this.#holdsLock = false;
    this.#hasStarted = false;
    this.#leaving.abort();
  }

  close(): void {
    this.#stopGathering();
    this.#holdsLock = false;
    this.#leaving.abort();
    this.#partsChannel.close();
  }

  /**
   * Chromium connects a page with its Background Fetch service at the first call. If that is the one in `pagehide`, the tab
   * may be gone before the connection is there, and the call is lost.
   */
  #connectToBackgroundFetch(): void {
    this.#options.platform.backgroundFetch?.getIds().catch(() => {});
  }

  /**
   * Requests go one after another: an answer that was already on its way may not know of the latest upload.
   */
  #fetchCandidates(): Promise<void> {
    const { connection, owner } = this.#options;
    this.#nextFetch ??= this.#fetching.then(async () => {
      this.#nextFetch = undefined;
      const known = this.#asksAnew ? [] : [...this.#candidates.values()].map(({ token }) => tokenMark(token));
      this.#asksAnew = false;
      this.#isAsking = true;
      const answer = await connection
        .call((api) => api.handOverCandidates(owner(), known))
        .catch(() => undefined);
      this.#isAsking = false;
      if (answer) this.#include(answer);
      else this.#asksAnew = true;
      this.#heard.clear();
    });
    this.#fetching = this.#nextFetch;
    return this.#fetching;
  }

  #include({ relay, bytesPerSecond, uploads: given }: HandOverCandidates): void {
    this.#relay = relay;
    this.#bytesPerSecond ??= bytesPerSecond;
    // The answer may be from before the user has paused or canceled one of them.
    const uploads = given.filter(({ id }) => !this.#resting.has(id));
    for (const upload of uploads) {
      const before = this.#candidates.get(upload.id);
      // Not the parts of an upload that had to begin anew.
      const heard = before?.token === upload.token ? before.done : [];
      const done = new Set([...upload.done, ...heard, ...(this.#heard.get(upload.id) ?? [])]);
      this.#candidates.set(upload.id, { ...upload, done });
    }
    void this.#probe();
    if (this.#holdsLock && this.#wantedAtOnce.length > 0)
      this.#undoGather ??= this.#options.platform.clock.after(GATHER_MS, () => this.#handOverAtOnce());
  }

  /** The uploads that the app wants the browser to carry, and that it does not. */
  get #wantedAtOnce(): readonly Candidate[] {
    return [...this.#candidates.values()].filter(
      ({ id, isImmediate }) => isImmediate && !this.#immediate.has(id) && !this.#resting.has(id),
    );
  }

  #handOverAtOnce(): void {
    this.#undoGather = undefined;
    const wanted = this.#wantedAtOnce;
    for (const { id } of wanted) this.#immediate.add(id);
    this.#handOver(wanted, { isImmediate: true });
  }

  #stopGathering(): void {
    this.#undoGather?.();
    this.#undoGather = undefined;
  }

  /** Where the confirmed parts of an upload are noted; undefined for those that this page does not hand over. */
  #partsOf(id: string): Set<number> | undefined {
    const candidate = this.#candidates.get(id);
    if (candidate || !this.#isAsking) return candidate?.done;
    const heard = this.#heard.get(id) ?? new Set();
    this.#heard.set(id, heard);
    return heard;
  }

  #handOver(candidates: readonly Candidate[], { isImmediate }: { readonly isImmediate: boolean }): void {
    const { platform, connection, auth } = this.#options;
    const relay = this.#relay;
    if (!platform.backgroundFetch || relay === null || candidates.length === 0) return;
    if (this.#reach.is === "missing") return;
    const planned = planPartRanges(
      candidates.map(({ id, plan, done }) => ({
        uploadId: id,
        plan,
        isDone: (partNumber) => done.has(partNumber),
      })),
      { bytesPerSecond: this.#bytesPerSecond },
    );
    const planOf = (uploadId: string) => (this.#candidates.get(uploadId) as Candidate).plan;
    const ranges = fitRanges(planned, planOf, maxBytesOf(this.#reach));
    if (ranges.length === 0) return;
    const id = platform.uuid();
    const requests = inStartOrder(ranges).map((range) => {
      const { plan, bytes, token } = this.#candidates.get(range.uploadId) as Candidate;
      const { start } = partByteRange(plan, range.first);
      const { end } = partByteRange(plan, range.first + range.count - 1);
      return new Request(relayUrl(relay, range, id), {
        method: "PUT",
        headers: { ...auth(), [RELAY_TOKEN_HEADER]: token },
        body: bytes.slice(start, end),
      });
    });
    const fetchId = FETCH_PREFIX + id;
    const files = candidates.length === 1 ? "1 file" : `${candidates.length} files`;
    // Refused, or the page gone before the answer: then the worker goes on as long as it lives, and later on.
    platform.backgroundFetch.fetch(fetchId, requests, { title: `Uploading ${files}` }).catch(() => {
      for (const { id } of candidates) this.#immediate.delete(id);
    });
    connection.handedOver(fetchId, ranges, isImmediate);
  }
}

function maxBytesOf(reach: RelayReach): number {
  if (reach.is === "missing") return -1;
  return reach.is === "unknown" ? Number.POSITIVE_INFINITY : (reach.maxBytes ?? Number.POSITIVE_INFINITY);
}

/** In bytes per second. */
function speedOf({ state, lane, bytesPerSecond }: UploadSnapshot): number {
  return state === "uploading" && lane === "worker" ? (bytesPerSecond ?? 0) : 0;
}

function isResting({ state, reason }: UploadSnapshot): boolean {
  if (state === "waiting") return reason === "conditions";
  return state === "paused" || state === "canceled" || state === "failed" || state === "done";
}
