import { type IDBPDatabase, type IDBPTransaction, openDB, type StoreNames } from "idb";
import { UploadError } from "../../src/core/errors.ts";
import { ConnectionState } from "./connection-state.ts";
import { databaseError, isDomException } from "./database-errors.ts";
import { GroupedWrites } from "./grouped-writes.ts";
import { type BackhaulSchema, DATABASE_VERSION, migrate } from "./migrations.ts";

type Store = StoreNames<BackhaulSchema>;
export type ReadTransaction = IDBPTransaction<BackhaulSchema, Store[], "readonly">;
export type WriteTransaction = IDBPTransaction<BackhaulSchema, Store[], "readwrite">;

const MAX_TRIES = 4;

/**
 * The one file that opens IndexedDB.
 *
 * @throws {UploadError} `DATABASE_UNAVAILABLE`, `DATABASE_TOO_NEW`
 */
export async function openConnection(name: string): Promise<IdbConnection> {
  try {
    const database = await openDB<BackhaulSchema>(name, DATABASE_VERSION, {
      upgrade(database, oldVersion, _newVersion, tx) {
        tx.done.catch(() => {});
        // A step that fails must not leave rows of two versions side by side under the new number.
        migrate(database, oldVersion, tx as never).catch(() => abort(tx));
      },
    });
    return new IdbConnection(database);
  } catch (cause) {
    throw isDomException(cause, "VersionError")
      ? new UploadError("DATABASE_TOO_NEW", undefined, { cause })
      : new UploadError("DATABASE_UNAVAILABLE", String(cause), { cause });
  }
}

/** One connection to the database. It notices its own end, and tells failures in this library's codes. */
export class IdbConnection {
  readonly #database: IDBPDatabase<BackhaulSchema>;
  readonly #state = new ConnectionState();
  /** The transactions begun in this turn that only read, by their stores. */
  readonly #begunReads = new Map<string, ReadTransaction>();
  /** Writes of rows, by the stores that they concern. */
  readonly #rowWrites = new Map<string, GroupedWrites<WriteTransaction>>();

  constructor(database: IDBPDatabase<BackhaulSchema>) {
    this.#database = database;
    // The browser has closed it: the user cleared the site's data, or the disk failed.
    database.addEventListener("close", () => this.#lose());
    // Somebody wants to delete the database, or a newer worker to convert it: this connection must not stand in the way.
    database.addEventListener("versionchange", () => this.#lose());
  }

  /** Runs `work` in a transaction that only reads. Those of one turn share it. */
  async read<T>(stores: readonly Store[], work: (tx: ReadTransaction) => Promise<T>): Promise<T> {
    try {
      return await work(this.#readTransaction(stores));
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /**
   * Runs `work` in a transaction, and settles once that is committed, or nothing of it is kept.
   *
   * @param explain what a failure means that `work` or its commit can have and others can't
   */
  async write<T>(
    stores: readonly Store[],
    work: (tx: WriteTransaction) => Promise<T>,
    explain: (error: unknown) => unknown = (error) => error,
  ): Promise<T> {
    try {
      const tx = this.#begin(stores, "readwrite") as WriteTransaction;
      try {
        const result = await work(tx);
        await tx.done;
        return result;
      } catch (error) {
        // Requests of a transaction whose commit fails reject with an AbortError; the transaction knows the reason.
        const reason = tx.error ?? error;
        abort(tx);
        throw explain(reason);
      }
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /**
   * As `write`, for rows that need next to no room: Chromium refuses for lack of room whatever is written at the same
   * moment as a copy that is too large, however little it is. `work` may share its transaction with others, which run before
   * and after it, and is run again where that has failed.
   */
  writeRows<T>(stores: readonly Store[], work: (tx: WriteTransaction) => Promise<T>): Promise<T> {
    const key = stores.join();
    let writes = this.#rowWrites.get(key);
    if (!writes) {
      writes = new GroupedWrites((work) => this.#writePatiently(stores, work));
      this.#rowWrites.set(key, writes);
    }
    return writes.add(work);
  }

  async #writePatiently(
    stores: readonly Store[],
    work: (tx: WriteTransaction) => Promise<void>,
  ): Promise<void> {
    for (let tries = 1; ; tries++)
      try {
        return await this.write(stores, work);
      } catch (error) {
        const isFull = error instanceof UploadError && error.code === "QUOTA_EXCEEDED";
        if (tries === MAX_TRIES || !isFull) throw error;
      }
  }

  close(): void {
    this.#state.close();
    this.#database.close();
  }

  /** As `UploadDatabase.onClosed`. */
  onClosed(listener: () => void): () => void {
    return this.#state.onLost(listener);
  }

  #begin(stores: readonly Store[], mode: IDBTransactionMode) {
    this.#state.assertOpen();
    const tx = this.#database.transaction([...stores], mode);
    // Who reads waits for the requests alone, and this promise rejects beside them.
    tx.done.catch(() => {});
    return tx;
  }

  #readTransaction(stores: readonly Store[]): ReadTransaction {
    const key = stores.join();
    const begun = this.#begunReads.get(key);
    if (begun) return begun;
    const tx = this.#begin(stores, "readonly") as ReadTransaction;
    this.#begunReads.set(key, tx);
    queueMicrotask(() => this.#begunReads.delete(key));
    return tx;
  }

  #failure(error: unknown): unknown {
    // A connection may refuse transactions before an event has told of its end.
    if (isDomException(error, "InvalidStateError")) this.#lose();
    if (!this.#state.isOpen && error instanceof DOMException)
      return new UploadError("DATABASE_CLOSED", undefined, { cause: error });
    return databaseError(error);
  }

  #lose(): void {
    this.#database.close();
    this.#state.lose();
  }
}

/** Where the browser has ended the transaction already, there is nothing left to abort. */
function abort(tx: { abort(): void }): void {
  try {
    tx.abort();
  } catch {}
}
