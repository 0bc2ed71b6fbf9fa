import type { Remote } from "comlink";
import { explained } from "../core/error-messages.ts";
import type { AddOptions } from "../core/options.ts";
import type { UploadSnapshot } from "../core/snapshot.ts";
import type { StoredObject } from "../core/storage.ts";
import {
  type AddRequest,
  type BelievedOwner,
  type ListMark,
  MAX_ADDED,
  type Reply,
  type ScopedName,
  type Source,
  type WorkerApi,
} from "../protocol/protocol.ts";
import { Alarm } from "./alarm.ts";
import { Connection } from "./connection.ts";
import { fetchList } from "./fetch-list.ts";
import { greetWorker } from "./greet-worker.ts";
import { type Guarantees, guaranteesFor, guaranteesOf, isReachable } from "./guarantees.ts";
import { HandOver } from "./hand-over.ts";
import { type HandOverPolicy, handOverMoments } from "./hand-over-policy.ts";
import { inSlices } from "./in-slices.ts";
import type { PagePlatform } from "./platform.ts";
import { checkReadable } from "./readable.ts";
import { type ListListener, UploadListMirror } from "./upload-list.ts";
import { WakeUp } from "./wake-up.ts";
import { DriverWatch } from "./watch-driver.ts";

/** The browser passes each file on by itself, so that a message of thousands would hold up the page for seconds. */
const FILES_PER_MESSAGE = 100;

/** Headers for the app's server, or a function that returns them. */
export type Auth = AuthHeaders | (() => AuthHeaders | Promise<AuthHeaders>);
/** Values by the names of their headers. */
type AuthHeaders = Readonly<Record<string, string>>;

/** How a page uses the uploads, whichever way it connects. */
export interface PageOptions {
  /** Who is signed in, as for `setOwner`; "" for nobody. @default whoever was signed in last */
  readonly owner?: string;
  /**
   * Headers that go along with each request to the app's server, such as `authorization` or a CSRF token; or a function that
   * returns them, asked before they are needed and again when the server does not accept them any more (401). Kept in memory
   * only, but for a hand-over: the browser keeps the requests that it was handed over until they are done. Sessions by cookie
   * need nothing here.
   * @default none
   */
  readonly auth?: Auth;
  /**
   * When the uploads of the last page are handed over to the browser, which carries them on whatever happens to the app. Only
   * Chromium can do so.
   * @default "auto": on phones and tablets as the page is hidden, elsewhere as it closes
   */
  readonly handOver?: HandOverPolicy;
  /** Ask the browser at the first `add` not to drop what is stored for this site. Firefox asks the user. @default true */
  readonly persist?: boolean;
}

/**
 * The uploads of this app in this browser, as every page of it sees them. Made by `connectUploads`. Its methods work by
 * themselves too, as in `const { add, subscribe } = uploads`.
 */
export type Uploads = Omit<PageUploads, "open">;

/** The uploads as a page holds them, by its connection to the worker. */
export class PageUploads {
  readonly #platform: PagePlatform;
  readonly #connection: Connection;
  readonly #mirror: UploadListMirror;
  readonly #watch: DriverWatch;
  readonly #handOver: HandOver;
  readonly #wakeUp: WakeUp;
  readonly #alarm: Alarm;
  readonly #undos: (() => void)[] = [];
  /** Rejects for whoever waits for the end of an upload when this page disconnects. */
  readonly #unsettled = new Set<() => void>();
  /** The app's headers or its function for them, and the headers that were given to the worker last. */
  #authSource: Auth | undefined;
  #auth: AuthHeaders | undefined;
  #owner: BelievedOwner = null;
  #persist = false;

  /** @internal */
  constructor(platform: PagePlatform) {
    bindMethods(this);
    const name: ScopedName = `backhaul:${platform.worker.scope}`;
    const connection = new Connection(platform);
    this.#platform = platform;
    this.#connection = connection;
    this.#mirror = new UploadListMirror(name, platform, {
      fetchList: () => fetchList(connection),
      onNewWorker: () => {
        // The headers were in the memory of the worker before, and died with it.
        void this.#giveAuth().catch(() => {});
        this.#handOver.refresh();
        this.#wakeUp.renew();
      },
    });
    this.#handOver = new HandOver({
      platform,
      connection,
      name,
      auth: () => this.#auth ?? {},
      owner: () => this.#owner,
    });
    this.#wakeUp = new WakeUp(platform, name);
    this.#alarm = new Alarm(platform.clock, () => connection.wake());
    connection.on("syncUsed", () => this.#wakeUp.renew());
    connection.on("authWanted", () => void this.#giveAuth().catch(() => {}));
    this.#watch = new DriverWatch({
      platform,
      name,
      isNeeded: () => this.list().some(wantsWorker),
      onDead: () => {
        connection.wake();
        // What the one before has told last need not be true any more: the site's data may have been deleted with it.
        void this.#mirror.refresh().catch(() => {});
      },
    });
  }

  /** The first exchange with the worker. @internal */
  async open({ owner, auth, persist = true, handOver = "auto" }: PageOptions): Promise<void> {
    await greetWorker(this.#platform, this.#connection);
    this.#persist = persist;
    this.#authSource = auth;
    if (owner !== undefined) await this.#tellOwner(owner);
    // Headers come before the visit that starts uploads, or their requests would be refused. If the app has none yet, the
    // worker waits for them.
    await this.#giveAuth().catch((error: unknown) =>
      console.warn("backhaul: no headers for the server.", error),
    );
    await this.#connection.call((api) => api.visit());
    await this.#mirror.refresh();
    this.#handOver.start();
    this.#mirror.subscribe((uploads) => {
      this.#watch.update();
      this.#handOver.update(uploads);
      this.#wakeUp.update(uploads.some(wantsWorker));
      this.#alarm.update(uploads);
    });
    const { on } = this.#platform;
    const wake = () => {
      this.#watch.update();
      this.#connection.wake({ isVisit: true });
    };
    // Timers and broadcasts may have been held back, or lost, while nobody saw the page.
    const returned = () => {
      wake();
      this.#alarm.check();
      void this.#mirror.refresh().catch(() => {});
    };
    const moments = handOverMoments(handOver, this.#platform.isMobile);
    this.#undos.push(
      ...moments.leave.map((type) => on(type, () => this.#handOver.leave())),
      ...moments.comeBack.map((type) => on(type, () => this.#handOver.start())),
      on("online", wake),
      on("networkchange", wake),
      on("visible", returned),
      on("resume", returned),
      on("pageshow", ({ isPersisted }) => {
        returned();
        if (isPersisted) this.#handOver.start();
      }),
      on("pagehide", () => {
        this.#handOver.leave();
        this.#watch.stop();
      }),
    );
  }

  /**
   * Adds one file. The promise settles once the bytes are stored, or can't be (the snapshot's `durability` says which); the
   * upload starts before that. Of a `FileSystemFileHandle` no copy is made: the file is read where it is, as long as it stays
   * there and is not changed (`FILE_CHANGED`), and after a restart of the browser once the user allows it
   * (`requestPermission`).
   *
   * @returns the upload's id
   * @throws {UploadError} `KEY_INVALID`, `FILE_INVALID`, `FILE_UNREADABLE` (a folder, say), `FILE_TOO_LARGE`, `PART_SIZE_INVALID`, `OPTION_INVALID`,
   *   `FILE_LOST` and `FILE_PERMISSION` of a handle, `QUOTA_EXCEEDED` with `requireDurable`, `OWNER_CHANGED`, `DATABASE_UNAVAILABLE`, `WORKER_UNREACHABLE`
   */
  async add(file: Source, options: AddOptions): Promise<string> {
    const [id] = await this.addAll([{ file, ...options }]);
    return id as string;
  }

  /**
   * Adds files together, at most 20,000: all of them, or none if one is refused. Small files are sent first. Errors as of `add`.
   *
   * @returns the uploads' ids, in the order of the files
   */
  async addAll(
    files: readonly (AddOptions & {
      /** The file, or a handle of it. */
      readonly file: Source;
    })[],
  ): Promise<string[]> {
    if (files.length > MAX_ADDED)
      throw explained({
        code: "OPTION_INVALID",
        detail: `${files.length} files, ${MAX_ADDED} at once are allowed: add them in groups`,
      });
    const requests: AddRequest[] = [];
    await inSlices([...files], this.#platform, ({ file, ...options }) => {
      if (!isSource(file)) throw explained({ code: "FILE_INVALID", detail: "" });
      requests.push({ id: this.#platform.uuid(), source: file, options });
    });
    await checkReadable(
      requests.map(({ source }) => source),
      this.#platform,
    );
    this.#askToPersist();
    await this.#mirror.reaches(await this.#giveToWorker(requests));
    return requests.map(({ id }) => id);
  }

  async #giveToWorker(requests: readonly AddRequest[]): Promise<ListMark> {
    // A call that is made again sends them as they are by then: what has ended meanwhile must not begin anew.
    const unsubscribe = this.subscribe(() => {
      for (const request of requests) {
        const state = this.get(request.id)?.state;
        if (state === "done" || state === "canceled") request.hasEnded = true;
      }
    });
    try {
      return await this.#stageAndAdd(requests);
    } finally {
      unsubscribe();
    }
  }

  async #stageAndAdd(requests: readonly AddRequest[]): Promise<ListMark> {
    for (;;) {
      const batchId = this.#platform.uuid();
      let count = 0;
      for (; requests.length - count > FILES_PER_MESSAGE; count += FILES_PER_MESSAGE) {
        const staged = requests.slice(count, count + FILES_PER_MESSAGE);
        await this.#connection.call((api) => api.stage(batchId, staged));
      }
      const batch = count > 0 ? { id: batchId, count } : null;
      const mark = await this.#connection.call((api) => api.add(requests.slice(count), this.#owner, batch));
      if (mark) return mark;
    }
  }

  /** All uploads, in the order they were added. The same array until something changes. */
  list(): readonly UploadSnapshot[] {
    return this.#mirror.list();
  }

  /** The upload of this id; undefined if there is none, or it belongs to a user who is not signed in. */
  get(id: string): UploadSnapshot | undefined {
    return this.#mirror.get(id);
  }

  /**
   * Calls back at once with all uploads, then on every change, at most about 10 times a second.
   *
   * @returns a function that ends the subscription
   */
  subscribe(listener: ListListener): () => void {
    return this.#mirror.subscribe(listener);
  }

  /**
   * Waits for the end of an upload.
   *
   * @returns the object as S3 holds it
   * @throws {UploadError} the fault for which the upload failed; `CANCELED`; `UPLOAD_NOT_FOUND` if there is no such upload, it
   *   was removed, or its owner has signed out; `CONNECTION_CLOSED` if this page disconnects before its end (`close`)
   */
  finished(id: string): Promise<StoredObject> {
    return new Promise((resolve, reject) => {
      let stop: (() => void) | undefined;
      let isOver = false;
      const end = (settle: () => void) => {
        isOver = true;
        stop?.();
        this.#unsettled.delete(closed);
        settle();
      };
      const closed = () => end(() => reject(explained({ code: "CONNECTION_CLOSED", detail: "" })));
      stop = this.subscribe(() => {
        if (isOver) return;
        const upload = this.get(id);
        if (!upload) end(() => reject(explained({ code: "UPLOAD_NOT_FOUND", detail: id })));
        else if (upload.object) end(() => resolve(upload.object as StoredObject));
        else if (upload.state === "canceled") end(() => reject(explained({ code: "CANCELED", detail: "" })));
        else if (upload.state === "failed") end(() => reject(upload.error));
      });
      if (isOver) stop();
      else if (this.#mirror.isClosed) closed();
      else this.#unsettled.add(closed);
    });
  }

  /** Pauses one upload, or all that have not ended. @throws {UploadError} `UPLOAD_NOT_FOUND` */
  async pause(id?: string): Promise<void> {
    await this.#command((api) => api.pause(id ?? null));
  }

  /** Resumes one paused upload, or all. @throws {UploadError} `UPLOAD_NOT_FOUND` */
  async resume(id?: string): Promise<void> {
    await this.#command((api) => api.resume(id ?? null));
  }

  /**
   * Retries a failed upload from where it stopped. One that has not ended is left as it is.
   *
   * @throws {UploadError} `UPLOAD_NOT_FOUND`, `STATE_INVALID` if it is done or canceled
   */
  async retry(id: string): Promise<void> {
    await this.#command((api) => api.retry(id));
  }

  /** Retries all failed uploads from where they stopped. */
  async retryAll(): Promise<void> {
    await this.#command((api) => api.retry(null));
  }

  /** Ends an upload and drops its parts at S3. @throws {UploadError} `UPLOAD_NOT_FOUND`, `STATE_INVALID` if it is done */
  async cancel(id: string): Promise<void> {
    await this.#command((api) => api.cancel(id));
  }

  /**
   * Removes an ended upload from the list; without an id, all that are done or canceled. Failed uploads stay, so that somebody
   * sees them. Objects stay in the bucket.
   *
   * @throws {UploadError} `STATE_INVALID` if it has not ended
   */
  async remove(id?: string): Promise<void> {
    await this.#command((api) => api.remove(id ?? null));
  }

  /**
   * Gives a file back to an upload that waits for it (`waiting`, reason `file`). One that has its file goes on with that.
   *
   * @throws {UploadError} `FILE_MISMATCH` if it is another file, `STATE_INVALID` if the upload has failed or was canceled,
   *   `UPLOAD_NOT_FOUND`
   */
  async attach(id: string, file: Source): Promise<void> {
    await this.#command((api) => api.attach(id, file));
  }

  /**
   * Asks the user to let the browser read the file again, for an upload that was added by a handle (`waiting`, reason `file`,
   * error `FILE_PERMISSION`). Must be called on a click or a key press, or browsers refuse without asking.
   *
   * @throws {UploadError} `FILE_PERMISSION` if the user refuses, `FILE_LOST`, `STATE_INVALID`, `UPLOAD_NOT_FOUND`
   */
  async requestPermission(id: string): Promise<void> {
    const handle = await this.#connection.call((api) => api.handle(id));
    let answer: unknown;
    try {
      answer = await handle.requestPermission?.({ mode: "read" });
    } catch (cause) {
      throw explained({ code: "FILE_PERMISSION", detail: String(cause) }, { cause });
    }
    if (answer === "denied" || answer === "prompt") throw explained({ code: "FILE_PERMISSION", detail: "" });
    await this.#command((api) => api.reopen(id));
  }

  /**
   * Browsers may drop what a site has stored when the disk is full, unless they were asked not to. Asked once, and not waited
   * for, since Firefox asks the user.
   */
  #askToPersist(): void {
    if (!this.#persist) return;
    this.#persist = false;
    this.#platform.persistStorage();
  }

  /**
   * Says who is signed in; "" for nobody. Other users' uploads are suspended and hidden until their user is back: they are not
   * listed, can't be addressed (`UPLOAD_NOT_FOUND`), and not a byte of theirs is sent. Files that are added while nobody is
   * signed in belong to nobody. The owner is stored, since a worker may wake with no page to ask. The headers of `setAuth` are
   * dropped with a change of user: give new ones afterwards.
   *
   * @param owner a name for the user that never changes, such as a user id, of at most 1,024 characters
   */
  async setOwner(owner: string): Promise<void> {
    await this.#mirror.reaches(await this.#tellOwner(owner));
  }

  /**
   * Deletes whatever this device keeps of a user's uploads: files, list, tokens. To be called at sign-out, while the session still
   * lasts, so that unfinished uploads can be aborted at S3; what can't be within 10 s is left to the bucket's lifecycle rule.
   * Afterwards nobody is signed in here, if it was this user. Objects stay, and so does all that is other users'.
   */
  async forget(owner: string): Promise<void> {
    await this.#command((api) => api.forget(owner));
    if (owner === this.#owner) await this.setOwner("");
  }

  #tellOwner(owner: string): Promise<ListMark> {
    if (this.#owner !== null && this.#owner !== owner) {
      this.#auth = undefined;
      this.#authSource = undefined;
    }
    this.#owner = owner;
    return this.#connection.call((api) => api.setOwner(owner));
  }

  /**
   * Replaces the headers for the app's server, as given by the option `auth` of `connectUploads`, and lets uploads that wait for
   * them (reason `auth`) go on. Call it after each change of user (`setOwner`).
   *
   * @throws {UploadError} `OWNER_CHANGED` if another tab has since said that somebody else is signed in
   */
  async setAuth(auth: Auth): Promise<void> {
    this.#authSource = auth;
    await this.#giveAuth();
  }

  async #giveAuth(): Promise<void> {
    const source = this.#authSource;
    if (source === undefined) return;
    const headers = { ...(typeof source === "function" ? await source() : source) };
    this.#auth = headers;
    await this.#command((api) => api.setAuth(headers, this.#owner));
  }

  /** Runs a command and resolves once this page's list shows its outcome. */
  async #command(use: (api: Remote<WorkerApi>) => Promise<Reply<ListMark>>): Promise<void> {
    await this.#mirror.reaches(await this.#connection.call(use));
  }

  /**
   * How far uploads get in this browser, with this app's set-up, once the tab or the browser is closed: all of them, or the one
   * with this id, which may be waiting for its turn, or be known to memory only. The answer may change: whether the relay is
   * there, and how large a body comes through to it, is found out once the first upload has begun.
   *
   * @throws {UploadError} `UPLOAD_NOT_FOUND`
   */
  guarantees(id?: string): Guarantees {
    const { backgroundFetch, worker } = this.#platform;
    const canHandOver =
      backgroundFetch !== undefined && this.#mirror.hasRelay && isReachable(this.#handOver.reach);
    const means = { canHandOver, canSync: worker.canSync };
    if (id === undefined) return guaranteesOf(means);
    const upload = this.get(id);
    if (!upload) throw explained({ code: "UPLOAD_NOT_FOUND", detail: id });
    return guaranteesFor({ ...upload, isCandidate: this.#handOver.canHandOver(id) }, means);
  }

  /** Disconnects this page from the worker. Uploads go on; whoever waits here is told (`CONNECTION_CLOSED`). */
  close(): void {
    for (const undo of this.#undos) undo();
    this.#watch.stop();
    this.#alarm.stop();
    this.#handOver.close();
    this.#mirror.close();
    this.#connection.close();
    for (const closed of [...this.#unsettled]) closed();
  }
}

function isSource(value: unknown): value is Source {
  return value instanceof Blob || value instanceof (globalThis.FileSystemFileHandle ?? Blob);
}

/** A worker should be alive for it: there is work, or a wait that a clock ends. */
function wantsWorker({ state, nextAttemptAt, reason }: UploadSnapshot): boolean {
  if (state === "queued" || state === "uploading" || state === "completing") return true;
  return nextAttemptAt !== null && reason !== "conditions";
}

function bindMethods(uploads: PageUploads): void {
  for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(PageUploads.prototype)))
    if (name !== "constructor") Object.defineProperty(uploads, name, { value: value.bind(uploads) });
}
