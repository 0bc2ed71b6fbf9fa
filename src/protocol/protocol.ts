import type { UploadErrorWire } from "../core/errors.ts";
import type { AddOptions } from "../core/options.ts";
import type { PartPlan } from "../core/part-plan.ts";
import type { PartRange } from "../core/part-ranges.ts";
import type { WireSnapshot } from "../core/snapshot.ts";

/**
 * Every message between pages and the worker: types, and the version they are of.
 *
 * `PageMessage` and `WorkerMessage` travel by `postMessage` between a page and the `ServiceWorker`, which is what wakes a
 * worker; `Broadcast` travels from the worker to all pages by BroadcastChannel, which wakes nobody.
 */

/** Raised with every change that an older other side would misunderstand. */
export const PROTOCOL_VERSION = 5;

/** Marks messages as Backhaul's own: the app's may share the way. This envelope must never change. */
interface Envelope {
  readonly backhaul: typeof PROTOCOL_VERSION;
}

export type PageMessage = Envelope &
  (
    | /** A Comlink message. Sent again until answered: the worker may have died over it. */
    { readonly type: "call"; readonly message: CallMessage }
    | /** Who carries uploads answers "welcome" at once. A worker that does not knows no such message. */ {
        readonly type: "hello";
      }
    | /** The answer to "stay" and "syncUsed". Its arrival is the event that extends the worker's life. */ {
        readonly type: "here";
      }
    | /** See whether there is something to do. `isVisit`: something may have changed outside, so try all that waits. */ {
        readonly type: "wake";
        readonly isVisit: boolean;
      }
    | /** The page has handed these part ranges over to the browser. It goes away, unless the app wanted that at once. */ {
        readonly type: "handedOver";
        readonly isImmediate: boolean;
        readonly fetchId: string;
        readonly ranges: readonly PartRange[];
      }
  );

export type WorkerMessage = Envelope &
  (
    | { readonly type: "reply"; readonly message: unknown }
    | /** This worker carries uploads. */ { readonly type: "welcome" }
    | /** The call is being worked on. */ { readonly type: "working"; readonly callId: string }
    | /** Please answer "here", so that this worker may go on. */ { readonly type: "stay" }
    | /** The browser's wake-up for later has been used up: please register another, and answer "here". */ {
        readonly type: "syncUsed";
      }
    | /** Headers for the app's server are wanted: please call `setAuth`. */ { readonly type: "authWanted" }
    | /** The page speaks another version of the protocol. */ { readonly type: "mismatch" }
  );

/** The fields of a Comlink message that the worker reads; the others are Comlink's own. */
export interface CallMessage {
  readonly id: string;
}

export type Broadcast = Envelope & {
  readonly type: "changed";
  /** Names one life of a worker; another one means that what came between may have been missed. */
  readonly epoch: string;
  /** Counts up within an epoch. A broadcast of many changes comes as several messages of one number, all at once. */
  readonly sequence: number;
  /** The message's place among those of its number, from 0. */
  readonly slice: number;
  /** No other message of this number follows. */
  readonly isLast: boolean;
  readonly changed: readonly WireSnapshot[];
  /** Ids. */
  readonly removed: readonly string[];
};

/** Goes out at once with each part, on a channel of its own, to the page that hands over: it must know what S3 has already. */
export type PartsBroadcast = Envelope & {
  readonly type: "partsDone";
  readonly id: string;
  readonly partNumbers: readonly number[];
};

/** A place in the stream of broadcasts: everything up to number `sequence` of this epoch. */
export interface ListMark {
  readonly epoch: string;
  readonly sequence: number;
}

/** Contains what was broadcast up to its mark. */
export interface MarkedList extends ListMark {
  readonly uploads: readonly WireSnapshot[];
}

export interface UploadList extends MarkedList {
  /** Whether uploads can be left to the browser, as far as the worker knows. */
  readonly hasRelay: boolean;
}

/** As much of the list as one message holds. */
export interface ListBeginning extends UploadList {
  /** What did not go into this message; null if all did. */
  readonly rest: ListRest | null;
}

/** The rest of a long list, as it was when its beginning was sent. */
export interface ListRest {
  readonly id: string;
  /** Uploads in it. */
  readonly count: number;
}

/** Snapshots in one message. A page takes tens of milliseconds to unpack so many on a slow device. */
export const SNAPSHOTS_PER_MESSAGE = 250;

/** Where an upload's bytes come from. */
export type Source = Blob | FileSystemFileHandle;

/** Files in one `add`. Chromium delivers a message with so many in 12 s, and with more only after the page has lost patience. */
export const MAX_ADDED = 20_000;

export interface AddRequest {
  readonly id: string;
  readonly source: Source;
  readonly options: AddOptions;
  /**
   * The page has seen this upload end before the call that adds it did. It may have been removed since, so that a worker to
   * which the call is repeated would take it for a new one.
   */
  hasEnded?: boolean;
}

/** What a page has staged of the files that it adds together. */
export interface StagedBatch {
  readonly id: string;
  readonly count: number;
}

/**
 * Whom a page takes to be signed in; null if it has not said. What it brings with it (files, headers) is refused with
 * `OWNER_CHANGED`, and nothing is given to it, if the worker has been told of another one since.
 */
export type BelievedOwner = string | null;

/** A value or an error; as a value, since Comlink would drop an error's code. */
export type Reply<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: UploadErrorWire };

/**
 * The calls that pages can make. Each may be repeated after a lost answer and then changes nothing more. A
 * command is answered with the mark at which pages see what it has done.
 */
export interface WorkerApi {
  /** Gives files for an `add` to come. */
  stage(batchId: string, requests: readonly AddRequest[]): Promise<Reply<null>>;
  /**
   * All or none, those of the batch first. Settles once every file is durable, or known not to be. Null if the worker has died
   * over the batch: it has to be given again.
   */
  add(
    requests: readonly AddRequest[],
    owner: BelievedOwner,
    batch?: StagedBatch | null,
  ): Promise<Reply<ListMark | null>>;
  list(): Promise<Reply<ListBeginning>>;
  /**
   * Part of a list's rest: `SNAPSHOTS_PER_MESSAGE` uploads from the one at place `from`. Null if it is not kept any more: the
   * list has to be fetched anew.
   */
  listRest(id: string, from: number): Promise<Reply<readonly WireSnapshot[] | null>>;
  /** For one upload, or all with null; as `resume`. */
  pause(id: string | null): Promise<Reply<ListMark>>;
  resume(id: string | null): Promise<Reply<ListMark>>;
  /** A failed one, or with null all of them. */
  retry(id: string | null): Promise<Reply<ListMark>>;
  cancel(id: string): Promise<Reply<ListMark>>;
  /** Removes an upload that has ended, or with null all that are done or canceled. */
  remove(id: string | null): Promise<Reply<ListMark>>;
  attach(id: string, source: Source): Promise<Reply<ListMark>>;
  /** The handle by which an upload's file is read, for a page to ask the user with: a worker can't. */
  handle(id: string): Promise<Reply<FileSystemFileHandle>>;
  /** A file that could not be read may be readable now. */
  reopen(id: string): Promise<Reply<ListMark>>;
  /** Halts and hides the uploads of all others, and forgets the headers of whoever was signed in before. */
  setOwner(owner: string): Promise<Reply<ListMark>>;
  /** Deletes whatever this device keeps of a user's uploads. */
  forget(owner: string): Promise<Reply<ListMark>>;
  setAuth(headers: Readonly<Record<string, string>>, owner: BelievedOwner): Promise<Reply<ListMark>>;
  /** A page was opened or shown: whatever waits for something outside is tried again. */
  visit(): Promise<Reply<ListMark>>;
  /** A page stays open: what was handed over to the browser comes back to the worker. */
  takeBack(): Promise<Reply<ListMark>>;
  /**
   * The uploads that the page could hand over as it closes, when there is no time left to ask; without those that it knows,
   * each named by its `tokenMark`. A Blob takes milliseconds to send, and there may be hundreds.
   */
  handOverCandidates(owner: BelievedOwner, known: readonly string[]): Promise<Reply<HandOverCandidates>>;
}

/** Tells the tokens of uploads apart by their last characters, which are of their signatures. */
export const tokenMark = (token: string): string => token.slice(-32);

/** The uploads that a page could hand over to the browser now. */
export interface HandOverCandidates {
  /** Base URL of the relay, same-origin; null if there is none. */
  readonly relay: string | null;
  /** What the link was found to carry altogether, in bytes per second; null if that was never measured. */
  readonly bytesPerSecond: number | null;
  readonly uploads: readonly HandOverCandidate[];
}

/** The facts about an upload that a hand-over needs. */
export interface HandOverCandidate {
  readonly id: string;
  readonly token: string;
  readonly plan: PartPlan;
  readonly bytes: Blob;
  /** Numbers of the parts that S3 has. */
  readonly done: readonly number[];
  /** To be handed over now, and not only when the page goes. */
  readonly isImmediate: boolean;
}

/** Begins the names of all Background Fetches of ours; the app may have others. */
export const FETCH_PREFIX = "backhaul ";

/** The name, per registration, of the BroadcastChannel, the database, the driver's Web Lock and the sync. */
export type ScopedName = `backhaul:${string}`;

/** The Web Lock of the one page that hands over to the browser as it goes. */
export const handOverLock = (name: ScopedName): string => `${name} keeper`;

/** The BroadcastChannel of `PartsBroadcast`. */
export const partsChannel = (name: ScopedName): string => `${name} parts`;
