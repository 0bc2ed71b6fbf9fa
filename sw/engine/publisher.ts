import type { WireSnapshot } from "../../src/core/snapshot.ts";
import {
  type Broadcast,
  type ListMark,
  type MarkedList,
  type PartsBroadcast,
  PROTOCOL_VERSION,
  partsChannel,
  type ScopedName,
  SNAPSHOTS_PER_MESSAGE,
} from "../../src/protocol/protocol.ts";
import type { Channel, Platform } from "../platform/index.ts";

/** Pages are told this often while much changes: with those at once, at most 10 times in any second. */
const EVERY_MS = 150;
/** After a rest so many messages go as changes come: somebody waits for a button's effect, or for the end of an upload. */
const AT_ONCE = 3;
/** A frame of the page's: what changes within it is told together. */
const TOGETHER_MS = 16;
/** A speed that falls since nothing moves is told this often, until it is 0. */
const QUIET_EVERY_MS = 1_000;

/** Tells all pages what has changed. */
export class Publisher {
  readonly #clock: Platform["clock"];
  readonly #channel: Channel;
  readonly #partsChannel: Channel;
  readonly #epoch: string;
  readonly #report: (id: string) => WireSnapshot | undefined;
  readonly #changed = new Set<string>();
  /** What was told last of uploads that are being sent: those are touched whether or not there is news. */
  readonly #told = new Map<string, string>();
  /** Uploads whose speed falls by itself. */
  readonly #moving = new Set<string>();
  #sequence = 0;
  /** Until then the messages sent so far would have lasted, one in each `EVERY_MS`, by `clock.elapsed()`. */
  #spentUntil = Number.NEGATIVE_INFINITY;
  #isScheduled = false;
  /** Somebody waits for the broadcast that is scheduled, be there something to tell or not. */
  #isPromised = false;
  #isQuietScheduled = false;
  #isClosed = false;

  /** @param report what is to be told of an upload; undefined for one that is no longer there */
  constructor(
    name: ScopedName,
    platform: Pick<Platform, "clock" | "openChannel" | "uuid">,
    report: (id: string) => WireSnapshot | undefined,
  ) {
    this.#clock = platform.clock;
    this.#channel = platform.openChannel(name);
    this.#partsChannel = platform.openChannel(partsChannel(name));
    this.#epoch = platform.uuid();
    this.#report = report;
  }

  /** Tells at once which parts S3 has, for the page that hands over. */
  partsDone(id: string, partNumbers: readonly number[]): void {
    if (this.#isClosed) return;
    this.#partsChannel.post({
      backhaul: PROTOCOL_VERSION,
      type: "partsDone",
      id,
      partNumbers,
    } satisfies PartsBroadcast);
  }

  /** This upload has changed, or is gone: pages are told within a moment. */
  touch(id: string): void {
    this.#changed.add(id);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    const waitMs = this.#spentUntil - (AT_ONCE - 1) * EVERY_MS - this.#clock.elapsed();
    this.#clock.after(Math.max(TOGETHER_MS, waitMs), () => this.#publish());
  }

  /** Tells nobody anything any more. */
  close(): void {
    this.#isClosed = true;
    this.#channel.close();
    this.#partsChannel.close();
  }

  /** The list that a page starts from; broadcasts with higher numbers follow it. */
  list(uploads: readonly WireSnapshot[]): MarkedList {
    return { epoch: this.#epoch, sequence: this.#sequence, uploads };
  }

  /** The broadcast by which everything touched so far has been told. It will come. */
  promiseMark(): ListMark {
    this.#isPromised ||= this.#isScheduled;
    return { epoch: this.#epoch, sequence: this.#isScheduled ? this.#sequence + 1 : this.#sequence };
  }

  #publish(): void {
    this.#isScheduled = false;
    if (this.#isClosed) return;
    const changed: WireSnapshot[] = [];
    const removed: string[] = [];
    for (const id of this.#changed) {
      const snapshot = this.#report(id);
      if (!snapshot) removed.push(id);
      else if (this.#isNews(snapshot)) changed.push(snapshot);
      if (snapshot?.bytesPerSecond) this.#moving.add(id);
      else this.#moving.delete(id);
    }
    this.#changed.clear();
    for (const id of removed) this.#told.delete(id);
    this.#scheduleQuiet();
    if (changed.length === 0 && removed.length === 0 && !this.#isPromised) return;
    this.#isPromised = false;
    this.#spentUntil = Math.max(this.#spentUntil, this.#clock.elapsed()) + EVERY_MS;
    this.#sequence += 1;
    const { length } = changed;
    for (let from = 0, slice = 0; from === 0 || from < length; from += SNAPSHOTS_PER_MESSAGE, slice++)
      this.#channel.post({
        backhaul: PROTOCOL_VERSION,
        type: "changed",
        epoch: this.#epoch,
        sequence: this.#sequence,
        slice,
        isLast: from + SNAPSHOTS_PER_MESSAGE >= length,
        changed: changed.slice(from, from + SNAPSHOTS_PER_MESSAGE),
        removed: from === 0 ? removed : [],
      } satisfies Broadcast);
  }

  /** Whether pages don't know it yet. */
  #isNews(snapshot: WireSnapshot): boolean {
    const { id, state } = snapshot;
    const before = this.#told.get(id);
    if (state !== "uploading") {
      this.#told.delete(id);
      return true;
    }
    const text = JSON.stringify(snapshot);
    this.#told.set(id, text);
    return text !== before;
  }

  #scheduleQuiet(): void {
    if (this.#isQuietScheduled || this.#moving.size === 0) return;
    this.#isQuietScheduled = true;
    this.#clock.after(QUIET_EVERY_MS, () => {
      this.#isQuietScheduled = false;
      if (!this.#isClosed) for (const id of this.#moving) this.touch(id);
    });
  }
}
