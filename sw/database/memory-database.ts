import { UploadError } from "../../src/core/errors.ts";
import type { Source } from "../../src/protocol/protocol.ts";
import type { PartRecord, UploadRecord } from "../model/index.ts";
import { applyEvents, claimOf, isOpenUnder, isSendingUnder, recordsToAdd } from "./conditional-writes.ts";
import { ConnectionState } from "./connection-state.ts";
import type { UploadDatabase } from "./upload-database.ts";

/** A disk as a browser has one: it outlives the connections to it, as it would outlive workers. */
export class MemoryDisk {
  readonly uploads = new Map<string, UploadRecord>();
  /** Ids of rows that only another version could read. */
  readonly unreadableIds = new Set<string>();
  /** By upload, then by part number. */
  readonly parts = new Map<string, Map<number, PartRecord>>();
  readonly bytes = new Map<string, Source>();
  owner = "";
  partSpeed: number | null = null;
  usesAuth = false;
  /** Bytes that the copies of all files may have together. */
  capacityBytes = Number.POSITIVE_INFINITY;
  /** How to close each open connection from outside. */
  readonly connections = new Set<() => void>();

  /** Closes every connection, as a browser may at any time. */
  disconnect(): void {
    for (const lose of [...this.connections]) lose();
  }

  /** Deletes everything, as `indexedDB.deleteDatabase` does. */
  erase(): void {
    this.disconnect();
    this.uploads.clear();
    this.unreadableIds.clear();
    this.parts.clear();
    this.bytes.clear();
    this.owner = "";
    this.partSpeed = null;
    this.usesAuth = false;
  }

  get usedBytes(): number {
    let used = 0;
    for (const source of this.bytes.values()) used += sizeOf(source);
    return used;
  }
}

/**
 * An upload database in memory, for tests and simulations. Each call does its work at once, before it returns its promise,
 * so that no other call can come between.
 */
export function openMemoryDatabase(disk: MemoryDisk, clock: { now(): number }): Promise<UploadDatabase> {
  return Promise.resolve(new MemoryDatabase(disk, clock));
}

class MemoryDatabase implements UploadDatabase {
  readonly #disk: MemoryDisk;
  readonly #clock: { now(): number };
  readonly #state = new ConnectionState();
  readonly #lose = () => {
    this.#disk.connections.delete(this.#lose);
    this.#state.lose();
  };

  constructor(disk: MemoryDisk, clock: { now(): number }) {
    this.#disk = disk;
    this.#clock = clock;
    disk.connections.add(this.#lose);
  }

  async owner() {
    return this.#open().owner;
  }

  async setOwner(owner: string) {
    this.#open().owner = owner;
  }

  async partSpeed() {
    return this.#open().partSpeed;
  }

  async setPartSpeed(bytesPerSecond: number) {
    this.#open().partSpeed = bytesPerSecond;
  }

  async usesAuth() {
    return this.#open().usesAuth;
  }

  async setUsesAuth(usesAuth: boolean) {
    this.#open().usesAuth = usesAuth;
  }

  async all() {
    const { uploads, unreadableIds } = this.#open();
    const records = [...uploads.values()].sort((a, b) => a.order - b.order);
    return { records, unreadableIds: [...unreadableIds] };
  }

  async add(records: readonly UploadRecord[]) {
    const { uploads, unreadableIds } = this.#open();
    let lastOrder = 0;
    for (const { order } of uploads.values()) lastOrder = Math.max(lastOrder, order);
    const added = recordsToAdd(records, new Set([...uploads.keys(), ...unreadableIds]), lastOrder);
    for (const record of added) uploads.set(record.id, record);
    return added;
  }

  async apply(events: Parameters<UploadDatabase["apply"]>[0]) {
    const { uploads, parts } = this.#open();
    const applied = applyEvents(uploads, events, this.#clock.now());
    for (const [id, record] of applied.records)
      if (record) uploads.set(id, record);
      else uploads.delete(id);
    for (const id of applied.withDoubtfulParts) {
      const own = parts.get(id);
      for (const partNumber of own?.keys() ?? []) own?.set(partNumber, claimOf(id, partNumber));
    }
    for (const id of applied.withoutParts) parts.delete(id);
    return applied.results;
  }

  async parts(id: string) {
    return inOrder(this.#open().parts.get(id));
  }

  async allParts() {
    const all = new Map<string, readonly PartRecord[]>();
    for (const [id, own] of this.#open().parts) if (own.size > 0) all.set(id, inOrder(own));
    return all;
  }

  async claimParts(id: string, token: string, partNumbers: readonly number[]) {
    const { uploads } = this.#open();
    if (!isSendingUnder(uploads.get(id), token)) return false;
    const own = this.#partsOf(id);
    for (const partNumber of partNumbers) own.set(partNumber, claimOf(id, partNumber));
    return true;
  }

  async doubtParts(id: string, token: string, partNumbers: readonly number[]) {
    const { uploads } = this.#open();
    if (!isOpenUnder(uploads.get(id), token)) return;
    const own = this.#partsOf(id);
    for (const partNumber of partNumbers)
      if (own.get(partNumber)?.state !== "done") own.set(partNumber, claimOf(id, partNumber));
  }

  async partsDone(id: string, token: string, receipts: Parameters<UploadDatabase["partsDone"]>[2]) {
    const { uploads } = this.#open();
    if (!isOpenUnder(uploads.get(id), token)) return;
    const own = this.#partsOf(id);
    for (const receipt of receipts) own.set(receipt.partNumber, { uploadId: id, state: "done", ...receipt });
  }

  async unclaimParts(id: string, token: string, partNumbers: readonly number[]) {
    const { uploads } = this.#open();
    if (!isOpenUnder(uploads.get(id), token)) return;
    const own = this.#partsOf(id);
    for (const partNumber of partNumbers) own.delete(partNumber);
  }

  readonly chunkBytes = 8 * 1024 * 1024;

  async bytes(id: string) {
    return this.#open().bytes.get(id);
  }

  async putBytes(id: string, source: Source, signal?: AbortSignal) {
    signal?.throwIfAborted();
    const disk = this.#open();
    // As in IndexedDB, the copy before takes up its room until the new one is whole.
    if (disk.usedBytes + sizeOf(source) > disk.capacityBytes) throw new UploadError("QUOTA_EXCEEDED");
    disk.bytes.set(id, source);
  }

  async deleteBytes(ids: readonly string[]) {
    const { bytes } = this.#open();
    for (const id of ids) bytes.delete(id);
  }

  async bytesIds() {
    return [...this.#open().bytes.keys()];
  }

  close() {
    this.#state.close();
    this.#disk.connections.delete(this.#lose);
  }

  onClosed(listener: () => void) {
    return this.#state.onLost(listener);
  }

  /** @throws {UploadError} `DATABASE_CLOSED` */
  #open(): MemoryDisk {
    this.#state.assertOpen();
    return this.#disk;
  }

  #partsOf(id: string): Map<number, PartRecord> {
    const known = this.#disk.parts.get(id);
    if (known) return known;
    const own = new Map<number, PartRecord>();
    this.#disk.parts.set(id, own);
    return own;
  }
}

function inOrder(parts: ReadonlyMap<number, PartRecord> | undefined): readonly PartRecord[] {
  return [...(parts?.values() ?? [])].sort((a, b) => a.partNumber - b.partNumber);
}

function sizeOf(source: Source): number {
  return source instanceof Blob ? source.size : 0;
}
