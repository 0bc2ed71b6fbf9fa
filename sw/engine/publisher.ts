import type { WireSnapshot } from "../../src/core/snapshot.ts";
import {
  type Broadcast,
  type ListMark,
  type PartsBroadcast,
  PROTOCOL_VERSION,
  partsChannel,
  type ScopedName,
  type UploadList,
} from "../../src/protocol/protocol.ts";
import type { Channel, Platform } from "../platform/index.ts";

/** At most 10 messages a second, however many uploads move. */
const SHORTEST_PAUSE_MS = 100;

/** Tells all pages what has changed. */
export class Publisher {
  readonly #clock: Platform["clock"];
  readonly #channel: Channel;
  readonly #partsChannel: Channel;
  readonly #epoch: string;
  readonly #snapshotOf: (id: string) => WireSnapshot | undefined;
  readonly #changed = new Set<string>();
  #sequence = 0;
  #isScheduled = false;
  #isClosed = false;

  /** @param snapshotOf undefined for an upload that is no longer there */
  constructor(
    name: ScopedName,
    platform: Pick<Platform, "clock" | "openChannel" | "uuid">,
    snapshotOf: (id: string) => WireSnapshot | undefined,
  ) {
    this.#clock = platform.clock;
    this.#channel = platform.openChannel(name);
    this.#partsChannel = platform.openChannel(partsChannel(name));
    this.#epoch = platform.uuid();
    this.#snapshotOf = snapshotOf;
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
    this.#clock.after(SHORTEST_PAUSE_MS, () => this.#publish());
  }

  /** Tells nobody anything any more. */
  close(): void {
    this.#isClosed = true;
    this.#channel.close();
    this.#partsChannel.close();
  }

  /** The list that a page starts from; broadcasts with higher numbers follow it. */
  list(uploads: readonly WireSnapshot[]): Omit<UploadList, "hasRelay"> {
    return { epoch: this.#epoch, sequence: this.#sequence, uploads };
  }

  /** The broadcast by which everything touched so far has been told. */
  get mark(): ListMark {
    return { epoch: this.#epoch, sequence: this.#isScheduled ? this.#sequence + 1 : this.#sequence };
  }

  #publish(): void {
    this.#isScheduled = false;
    if (this.#isClosed) return;
    this.#sequence += 1;
    const changed: WireSnapshot[] = [];
    const removed: string[] = [];
    for (const id of this.#changed) {
      const snapshot = this.#snapshotOf(id);
      if (snapshot) changed.push(snapshot);
      else removed.push(id);
    }
    this.#changed.clear();
    this.#channel.post({
      backhaul: PROTOCOL_VERSION,
      type: "changed",
      epoch: this.#epoch,
      sequence: this.#sequence,
      changed,
      removed,
    } satisfies Broadcast);
  }
}
