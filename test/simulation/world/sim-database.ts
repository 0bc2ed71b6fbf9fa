import { UploadError } from "../../../src/core/errors.ts";
import { type MemoryDisk, openMemoryDatabase } from "../../../sw/database/memory-database.ts";
import type { UploadDatabase } from "../../../sw/database/upload-database.ts";
import type { VirtualTime } from "../../support/virtual-time.ts";
import type { Life } from "./life.ts";
import { copyOf } from "./sim-file.ts";

/** The disk below the database, and what can go wrong with it. */
export interface SimDisk {
  readonly memory: MemoryDisk;
  /** Every call fails while this is set: the disk is full, or fails. */
  fault: "QUOTA_EXCEEDED" | "DATABASE_UNAVAILABLE" | undefined;
  /** The database can't be opened at all. */
  isBroken: boolean;
  /** Bytes of one file that a transaction copies; IndexedDB's are in `idb-file-copies.ts`. */
  pieceBytes: number;
  readonly bytesPerMs: number;
}

export interface DatabaseWatcher {
  /** A transaction that writes has begun. */
  wrote(call: string): void;
  /** A small write had to wait for others of its store for so long. */
  waited(call: string, ms: number): void;
}

/** Milliseconds from a call to its commit, and from there to its answer. */
const CALL_MS = 1;
/** However large a file is: what happens between two pieces happens between any. */
const MOST_PIECES = 50;

/**
 * An upload database that costs time: each store has one writer at a time, and a life that ends between the commit and the
 * answer never hears of it.
 */
export class SimDatabases {
  readonly #time: VirtualTime;
  readonly #disk: SimDisk;
  readonly #watcher: DatabaseWatcher;
  /** When each store's last writer is through, by `elapsed`. */
  readonly #freeAt = { records: 0, bytes: 0 };

  constructor(time: VirtualTime, disk: SimDisk, watcher: DatabaseWatcher) {
    this.#time = time;
    this.#disk = disk;
    this.#watcher = watcher;
  }

  async open(life: Life, clock: { now(): number }): Promise<UploadDatabase> {
    await life.deliver(undefined, CALL_MS);
    if (this.#disk.isBroken) throw new UploadError("DATABASE_UNAVAILABLE", "UnknownError");
    const memory = await openMemoryDatabase(this.#disk.memory, clock);
    life.onEnd(() => memory.close());

    const read = <T>(work: () => Promise<T>) => this.#read(life, work);
    const write = <T>(call: string, work: () => Promise<T>) => this.#write(life, "records", call, work);
    return {
      owner: () => read(() => memory.owner()),
      setOwner: (owner) => write("setOwner", () => memory.setOwner(owner)),
      partSpeed: () => read(() => memory.partSpeed()),
      setPartSpeed: (speed) => write("setPartSpeed", () => memory.setPartSpeed(speed)),
      usesAuth: () => read(() => memory.usesAuth()),
      setUsesAuth: (usesAuth) => write("setUsesAuth", () => memory.setUsesAuth(usesAuth)),
      all: () => read(() => memory.all()),
      add: (records) => write("add", () => memory.add(records)),
      apply: (events) => write("apply", () => memory.apply(events)),
      parts: (id) => read(() => memory.parts(id)),
      allParts: () => read(() => memory.allParts()),
      claimParts: (id, token, numbers) => write("claimParts", () => memory.claimParts(id, token, numbers)),
      doubtParts: (id, token, numbers) => write("doubtParts", () => memory.doubtParts(id, token, numbers)),
      partsDone: (id, token, parts) => write("partsDone", () => memory.partsDone(id, token, parts)),
      unclaimParts: (id, token, numbers) =>
        write("unclaimParts", () => memory.unclaimParts(id, token, numbers)),
      chunkBytes: this.#disk.pieceBytes,
      bytes: (id) => read(() => memory.bytes(id)),
      putBytes: async (id, source, signal) => {
        const size = source instanceof Blob ? source.size : 0;
        const pieceBytes = Math.max(this.#disk.pieceBytes, size / MOST_PIECES);
        for (let left = size - pieceBytes; left > 0; left -= pieceBytes) {
          signal?.throwIfAborted();
          const pieceMs = Math.min(left, pieceBytes) / this.#disk.bytesPerMs;
          await this.#write(life, "bytes", "putBytes", async () => {}, pieceMs);
        }
        const lastMs = Math.min(size, pieceBytes) / this.#disk.bytesPerMs;
        await this.#write(
          life,
          "bytes",
          "putBytes",
          async () => memory.putBytes(id, source instanceof Blob ? readCopy(source) : source, signal),
          lastMs,
        );
      },
      deleteBytes: (ids) => this.#write(life, "bytes", "deleteBytes", () => memory.deleteBytes(ids)),
      bytesIds: () => read(() => memory.bytesIds()),
      close: () => memory.close(),
      onClosed: (listener) => memory.onClosed(() => life.soon(listener)),
    };
  }

  async #read<T>(life: Life, work: () => Promise<T>): Promise<T> {
    await life.deliver(undefined, CALL_MS);
    if (this.#disk.fault === "DATABASE_UNAVAILABLE") throw new UploadError(this.#disk.fault);
    return life.deliver(work());
  }

  async #write<T>(
    life: Life,
    store: "records" | "bytes",
    call: string,
    work: () => Promise<T>,
    ms = CALL_MS,
  ): Promise<T> {
    const { elapsed } = this.#time;
    const begin = Math.max(elapsed, this.#freeAt[store]);
    const end = begin + Math.max(ms, CALL_MS);
    this.#freeAt[store] = end;
    this.#watcher.wrote(call);
    if (call !== "putBytes") this.#watcher.waited(call, begin - elapsed);
    await life.deliver(undefined, end - elapsed);
    if (this.#disk.fault) throw new UploadError(this.#disk.fault);
    const outcome = work();
    // The answer comes after the commit: who dies in between never hears of it.
    return life.deliver(outcome, CALL_MS);
  }
}

function readCopy(source: Blob): Blob {
  try {
    return copyOf(source);
  } catch (cause) {
    throw new UploadError("FILE_CHANGED", "", { cause });
  }
}
