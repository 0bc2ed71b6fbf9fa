import type { PartReceipt } from "../../src/core/storage.ts";
import type { Source } from "../../src/protocol/protocol.ts";
import type { Effect, PartRecord, UploadEvent, UploadRecord } from "../model/index.ts";

/**
 * The room of what outlives the worker: records of uploads and of their parts, copies of files, and a few settings.
 *
 * Every write is conditional on the record it finds, in one transaction, so that a slow or second worker can never undo
 * what happened meanwhile. IndexedDB (`idb-database.ts`) and memory (`memory-database.ts`) implement the port, and
 * `test/conformance/upload-database.ts` holds for both.
 *
 * Each method may reject with an `UploadError`:
 * - `DATABASE_CLOSED`: this connection is of no use any more; open another one.
 * - `DATABASE_UNAVAILABLE`: the browser could not read or write; the detail holds its own words.
 * - `QUOTA_EXCEEDED`: there is no room for what was to be written.
 */
export interface UploadDatabase {
  /** Who was signed in last; "" for nobody. */
  owner(): Promise<string>;
  setOwner(owner: string): Promise<void>;
  /** Bytes per second of one of the parallel parts, as measured last; null if never. */
  partSpeed(): Promise<number | null>;
  setPartSpeed(bytesPerSecond: number): Promise<void>;
  /** Whether the app's pages give headers for its server, which a worker without a page can't know. */
  usesAuth(): Promise<boolean>;
  setUsesAuth(usesAuth: boolean): Promise<void>;

  all(): Promise<StoredUploads>;
  /**
   * Adds uploads after all others, in the order given, in one transaction. Returns those that were added, with their
   * `order`: an id that is stored already is left as it is.
   */
  add(records: readonly UploadRecord[]): Promise<readonly UploadRecord[]>;
  /**
   * Runs the state machine on the stored records: all events in one transaction, in the order given, each on what the one
   * before has left. Returns one result for each event, in the same order.
   */
  apply(events: readonly EventOfUpload[]): Promise<readonly Applied[]>;

  /** The claims and receipts of one upload, ascending by part number. */
  parts(id: string): Promise<readonly PartRecord[]>;
  /** The parts of all uploads in one read, by upload id. Uploads without any are left out. */
  allParts(): Promise<ReadonlyMap<string, readonly PartRecord[]>>;
  /** Claims parts before their PUTs go out. False if the upload is not being sent with this token any more. */
  claimParts(id: string, token: string, partNumbers: readonly number[]): Promise<boolean>;
  /**
   * Notes parts that somebody else may have sent, whether or not the upload is being sent now. Parts that S3 is known to have
   * stay so. Does nothing if the upload has ended or begun anew meanwhile.
   */
  doubtParts(id: string, token: string, partNumbers: readonly number[]): Promise<void>;
  /** Records what S3 has. Does nothing if the upload has ended or begun anew meanwhile. */
  partsDone(id: string, token: string, parts: readonly PartReceipt[]): Promise<void>;
  /** Forgets parts that S3 turned out not to have. Does nothing if the upload has ended or begun anew meanwhile. */
  unclaimParts(id: string, token: string, partNumbers: readonly number[]): Promise<void>;

  /**
   * The bytes kept for an upload; undefined if there are none, or if a death or the browser left only some of them. A copy
   * has the size and content of the file, but neither its name nor its date, nor always its type.
   */
  bytes(id: string): Promise<Source | undefined>;
  /** Bytes of files that are written at once, in a piece of a large one or in small ones together: others wait for so many. */
  readonly chunkBytes: number;
  /**
   * Keeps a copy of a file, or a handle, in place of what was kept before. Large files are copied in pieces, between which
   * other calls get their turn. Until it resolves, `bytes` gives what was kept before.
   *
   * @param signal ends the copying between two pieces; the call then rejects with the signal's reason
   * @throws {UploadError} besides those of all methods: `FILE_CHANGED` if the file can't be read as it was picked;
   * `CANCELED` if `deleteBytes` or another `putBytes` came for the same upload before this one was through
   */
  putBytes(id: string, source: Source, signal?: AbortSignal): Promise<void>;
  deleteBytes(ids: readonly string[]): Promise<void>;
  /** Ids of all uploads for which bytes are kept, be it in part, whether or not there is a record of them. */
  bytesIds(): Promise<readonly string[]>;

  /** Gives the connection up. What is called from then on rejects with `DATABASE_CLOSED`. */
  close(): void;
  /**
   * Calls back once when the connection is lost otherwise than by `close`: the browser has closed it, the database is being
   * deleted, or a newer version of the app wants to change it. Returns the listener's undo.
   */
  onClosed(listener: () => void): () => void;
}

export interface StoredUploads {
  /** All uploads that this version can read, in their order. */
  readonly records: readonly UploadRecord[];
  /**
   * Ids of rows that this version can't read, after a roll-back for example. They stay as they are, and so must their
   * bytes: another version may read them.
   */
  readonly unreadableIds: readonly string[];
}

export interface EventOfUpload {
  readonly id: string;
  readonly event: UploadEvent;
}

export interface Applied {
  /** Undefined if there is no such record, or not any more. */
  readonly record: UploadRecord | undefined;
  readonly effects: readonly Effect[];
}
