import { type ConnectOptions, connectUploads, type UploadSnapshot, type Uploads } from "backhaul";

/** Where a binding gets the uploads from: options to connect with, a function that connects, or uploads of the app's own. */
export type UploadsSource = ConnectOptions | Uploads | (() => Promise<Uploads>);

/** What a page knows of its uploads at one moment. It never changes; after a change there is a new one. */
export interface UploadsView {
  /** The connected uploads; null on a server, until connected, and if connecting has failed. */
  readonly uploads: Uploads | null;
  /** All uploads, in the order they were added. */
  readonly list: readonly UploadSnapshot[];
  /** Why this page could not connect, such as an `UploadError` with `NOT_SUPPORTED`; else null. */
  readonly error: unknown;
}

/** The view on a server, and in a browser before it has connected. */
export const CONNECTING: UploadsView = { uploads: null, list: [], error: null };

/** The connection behind a binding: made when the first user comes, ended when the last one has left. */
export class UploadsStore {
  readonly #source: UploadsSource;
  readonly #listeners = new Set<() => void>();
  #view = CONNECTING;
  #users = 0;
  /** Settles once connected, or not. There is one from the first user to the last. */
  #connection: Promise<Uploads> | undefined;
  #stop: (() => void) | undefined;

  constructor(source: UploadsSource) {
    this.#source = source;
  }

  readonly get = (): UploadsView => this.#view;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Connects unless that was done, and keeps the connection until undone. On a server nothing happens. */
  readonly retain = (): (() => void) => {
    if (!("document" in globalThis)) return () => {};
    this.#users++;
    this.#connection ??= this.#connect();
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      this.#users--;
      // React's StrictMode, and a list that moves to another place on the page, leave and come back in the same turn.
      setTimeout(() => this.#closeUnlessUsed());
    };
  };

  /** The uploads, once connected. @throws {UploadError} as `connectUploads`, or if nobody retains the store */
  connected(): Promise<Uploads> {
    return this.#connection ?? Promise.reject(new Error("Nothing on this page is connected to the uploads."));
  }

  #connect(): Promise<Uploads> {
    const connection = open(this.#source);
    const isCurrent = () => this.#connection === connection;
    connection.then(
      (uploads) => {
        if (!isCurrent()) return this.#isOwn(uploads) && uploads.close();
        this.#stop = uploads.subscribe((list) => this.#show({ uploads, list, error: null }));
      },
      (error: unknown) => isCurrent() && this.#show({ ...CONNECTING, error }),
    );
    return connection;
  }

  #closeUnlessUsed(): void {
    if (this.#users > 0) return;
    const { uploads } = this.#view;
    this.#connection = undefined;
    this.#stop?.();
    this.#stop = undefined;
    this.#show(CONNECTING);
    if (uploads && this.#isOwn(uploads)) uploads.close();
  }

  /** The app's own connection is closed by the app. */
  #isOwn(uploads: Uploads): boolean {
    return uploads !== this.#source;
  }

  #show(view: UploadsView): void {
    this.#view = view;
    for (const listener of [...this.#listeners]) listener();
  }
}

async function open(source: UploadsSource): Promise<Uploads> {
  if (typeof source === "function") return source();
  return "subscribe" in source ? source : connectUploads(source);
}
