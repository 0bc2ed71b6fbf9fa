import type { AddRequest, StagedBatch } from "../../src/protocol/protocol.ts";

/** A page that has gone in the middle leaves its batch behind. The oldest is dropped: its page, if it is there, gives it again. */
const MOST_BATCHES = 16;
const MOST_FILES = 100_000;

/** Files that pages give in several messages before they add them together. They are lost with the worker. */
export class StagedFiles {
  readonly #batches = new Map<string, Map<string, AddRequest>>();

  /** Giving a file again, as after a lost answer, changes nothing. */
  add(batchId: string, requests: readonly AddRequest[]): void {
    const batch = this.#batches.get(batchId) ?? new Map<string, AddRequest>();
    this.#batches.set(batchId, batch);
    for (const request of requests) if (batch.size < MOST_FILES) batch.set(request.id, request);
    const [oldest] = this.#batches.keys();
    if (oldest !== undefined && this.#batches.size > MOST_BATCHES) this.#batches.delete(oldest);
  }

  /** Removes a batch and returns its files in the order given; undefined if some of them are not there. */
  remove(batch: StagedBatch | null | undefined): readonly AddRequest[] | undefined {
    if (!batch) return [];
    const requests = [...(this.#batches.get(batch.id)?.values() ?? [])];
    this.#batches.delete(batch.id);
    return requests.length === batch.count ? requests : undefined;
  }
}
