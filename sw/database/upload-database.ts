import type { PartReceipt } from "../../src/core/storage.ts";
import type { Source } from "../../src/protocol/protocol.ts";
import type { Effect, PartRecord, UploadEvent, UploadRecord } from "../model/index.ts";

/**
 * What outlives the worker. Every write is conditional on the record it finds, in one transaction, so that what a slow
 * or second worker has to say can never undo what happened meanwhile.
 */
export interface UploadDatabase {
  /** Who was signed in last; "" for nobody. */
  owner(): Promise<string>;
  setOwner(owner: string): Promise<void>;
  /** Bytes per second of one of the parallel parts, as measured last; null if never. */
  partSpeed(): Promise<number | null>;
  setPartSpeed(bytesPerSecond: number): Promise<void>;
  /** All uploads, in order. Rows that a schema check refuses are left alone and left out. */
  all(): Promise<UploadRecord[]>;
  /** Adds uploads and gives them their order. An id that is there already is left as it is. */
  add(records: readonly UploadRecord[]): Promise<UploadRecord[]>;
  /** Runs the state machine on the stored record. Undefined if there is none. */
  apply(id: string, event: UploadEvent): Promise<Applied | undefined>;
  parts(id: string): Promise<PartRecord[]>;
  /** Claims parts before their PUTs go out. False if the upload is not being sent with this token any more. */
  claimParts(id: string, token: string, partNumbers: readonly number[]): Promise<boolean>;
  /** Records what S3 has. Void if the upload has ended or begun anew meanwhile. */
  partsDone(id: string, token: string, parts: readonly PartReceipt[]): Promise<void>;
  /** Forgets claims of parts that S3 turned out not to have. */
  unclaimParts(id: string, token: string, partNumbers: readonly number[]): Promise<void>;
  bytes(id: string): Promise<Source | undefined>;
  /** @throws {UploadError} `QUOTA_EXCEEDED`, `FILE_CHANGED` */
  putBytes(id: string, source: Source): Promise<void>;
  deleteBytes(id: string): Promise<void>;
  /** Ids of all bytes kept, for finding those that a death left without an upload. */
  bytesIds(): Promise<string[]>;
}

export interface Applied {
  /** Undefined once the record is deleted. */
  readonly record: UploadRecord | undefined;
  readonly effects: readonly Effect[];
}
