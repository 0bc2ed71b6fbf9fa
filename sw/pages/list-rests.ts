import type { WireSnapshot } from "../../src/core/snapshot.ts";
import { type ListRest, SNAPSHOTS_PER_MESSAGE } from "../../src/protocol/protocol.ts";

/** A page that has gone in the middle leaves its list behind. The oldest is dropped: its page, if it is there, begins anew. */
const MOST_LISTS = 16;

interface Rest {
  readonly owner: string;
  readonly snapshots: readonly WireSnapshot[];
  /** Where the slices begin that were not fetched yet. */
  readonly left: Set<number>;
}

/** Long lists, of which a page has been given the beginning and fetches the rest, as they were at that moment. */
export class ListRests {
  readonly #rests = new Map<string, Rest>();
  readonly #uuid: () => string;

  constructor(uuid: () => string) {
    this.#uuid = uuid;
  }

  /** Keeps what does not go into the first message. Null if all of it does. */
  keep(owner: string, all: readonly WireSnapshot[]): ListRest | null {
    const snapshots = all.slice(SNAPSHOTS_PER_MESSAGE);
    if (snapshots.length === 0) return null;
    const left = new Set<number>();
    for (let from = 0; from < snapshots.length; from += SNAPSHOTS_PER_MESSAGE) left.add(from);
    const id = this.#uuid();
    this.#rests.set(id, { owner, snapshots, left });
    const [oldest] = this.#rests.keys();
    if (oldest !== undefined && this.#rests.size > MOST_LISTS) this.#rests.delete(oldest);
    return { id, count: snapshots.length };
  }

  /** The slice of a rest that begins there; undefined if that rest is not there, or is another user's. */
  slice(owner: string, id: string, from: number): readonly WireSnapshot[] | undefined {
    const rest = this.#rests.get(id);
    if (rest?.owner !== owner) return undefined;
    rest.left.delete(from);
    if (rest.left.size === 0) this.#rests.delete(id);
    return rest.snapshots.slice(from, from + SNAPSHOTS_PER_MESSAGE);
  }
}
