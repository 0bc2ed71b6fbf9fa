import type { Remote } from "comlink";
import { explained } from "../core/error-messages.ts";
import type { AddOptions } from "../core/options.ts";
import type { UploadSnapshot } from "../core/snapshot.ts";
import type { StoredObject } from "../core/storage.ts";
import type {
  AddRequest,
  BelievedOwner,
  ListMark,
  Reply,
  ScopedName,
  Source,
  WorkerApi,
} from "../protocol/protocol.ts";
import { Alarm } from "./alarm.ts";
import { Connection } from "./connection.ts";
import { type Guarantees, guaranteesOf } from "./guarantees.ts";
import { HandOver } from "./hand-over.ts";
import type { PagePlatform } from "./platform.ts";
import { type ListListener, UploadListMirror } from "./upload-list.ts";
import { WakeUp } from "./wake-up.ts";
import { DriverWatch } from "./watch-driver.ts";

/** Headers for the app's server, or how to get them. */
export type Auth = AuthHeaders | (() => AuthHeaders | Promise<AuthHeaders>);
type AuthHeaders = Readonly<Record<string, string>>;

/** What a page says about itself as it connects. */
export interface PageOptions {
  /** Who is signed in, as by `setOwner`; "" for nobody. @default whoever was signed in last */
  readonly owner?: string;
  /**
   * Headers that go along with each request to the app's server, such as `authorization` or a CSRF token; or a function that
   * returns them, asked before they are needed and again when the server does not accept them any more (401). Kept in memory
   * only, but for a hand-over: the browser keeps the requests that it was handed over until they are done. Sessions by cookie
   * need nothing here.
   * @default none
   */
  readonly auth?: Auth;
  /** Ask the browser at the first `add` not to drop what is stored for this site. Firefox asks the user. @default true */
  readonly persist?: boolean;
}

/** The uploads of this app in this browser, as every page of it sees them. Made by `connectUploads`. */
export class Uploads {
  readonly #platform: PagePlatform;
  readonly #connection: Connection;
  readonly #mirror: UploadListMirror;
  readonly #watch: DriverWatch;
  readonly #handOver: HandOver;
  readonly #wakeUp: WakeUp;
  readonly #alarm: Alarm;
  readonly #undos: (() => void)[] = [];
  /** How to get headers, and those that were got last. */
  #authSource: Auth | undefined;
  #auth: AuthHeaders | undefined;
  #owner: BelievedOwner = null;
  #persist = false;

  /** @internal */
  constructor(platform: PagePlatform) {
    const name: ScopedName = `backhaul:${platform.worker.scope}`;
    const connection = new Connection(platform);
    this.#platform = platform;
    this.#connection = connection;
    this.#mirror = new UploadListMirror(name, platform, {
      fetchList: () => connection.call((api) => api.list()),
      onNewWorker: () => {
        // The worker before kept the headers in memory only.
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
      onDead: () => connection.wake(),
    });
  }

  /** @internal The first exchange with the worker. */
  async open({ owner, auth, persist = true }: PageOptions): Promise<void> {
    this.#persist = persist;
    this.#authSource = auth;
    if (owner !== undefined) await this.#tellOwner(owner);
    // Before anything is driven: a request without them would be refused. Should there be none yet, the worker waits.
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
    this.#undos.push(
      on("online", wake),
      on("networkchange", wake),
      on("pageshow", ({ isPersisted }) => {
        wake();
        if (isPersisted) this.#handOver.start();
      }),
      on("pagehide", () => {
        this.#handOver.leave();
        this.#watch.stop();
      }),
    );
  }

  /**
   * Adds one file. Settles once it will survive the tab, or can't (its snapshot's `durability` says which); the upload
   * starts before that. Of a `FileSystemFileHandle` no copy is made: the file is read where it is, as long as it stays there
   * and is not changed (`FILE_CHANGED`), and after a restart of the browser once the user allows it (`requestPermission`).
   *
   * @returns the upload's id
   * @throws {UploadError} `KEY_INVALID`, `FILE_INVALID`, `FILE_TOO_LARGE`, `PART_SIZE_INVALID`, `OPTION_INVALID`,
   *   `FILE_LOST` and `FILE_PERMISSION` of a handle, `QUOTA_EXCEEDED` with `requireDurable`, `OWNER_CHANGED`, `DATABASE_UNAVAILABLE`, `WORKER_UNREACHABLE`
   */
  async add(file: Source, options: AddOptions): Promise<string> {
    const [id] = await this.addAll([{ file, ...options }]);
    return id as string;
  }

  /** Adds files together: all of them, or none if one is refused. Small ones go first. Errors as `add`. */
  async addAll(files: readonly (AddOptions & { readonly file: Source })[]): Promise<string[]> {
    const requests = files.map(({ file, ...options }): AddRequest => {
      if (!isSource(file)) throw explained({ code: "FILE_INVALID", detail: "" });
      return { id: this.#platform.uuid(), source: file, options };
    });
    this.#askToPersist();
    await this.#command((api) => api.add(requests, this.#owner));
    return requests.map(({ id }) => id);
  }

  /** All uploads, in the order they were added. The same array until something changes. */
  list(): readonly UploadSnapshot[] {
    return this.#mirror.list();
  }

  get(id: string): UploadSnapshot | undefined {
    return this.#mirror.get(id);
  }

  /** Calls back at once with all uploads, then on every change, at most about 10 times a second. Returns how to stop. */
  subscribe(listener: ListListener): () => void {
    return this.#mirror.subscribe(listener);
  }

  /**
   * Waits for the end of an upload.
   *
   * @throws {UploadError} why it failed; `CANCELED`; `UPLOAD_NOT_FOUND` if there is none, it was removed, or its owner has
   *   signed out
   */
  finished(id: string): Promise<StoredObject> {
    return new Promise((resolve, reject) => {
      let stop: (() => void) | undefined;
      let isOver = false;
      const end = (settle: () => void) => {
        isOver = true;
        stop?.();
        settle();
      };
      stop = this.subscribe(() => {
        if (isOver) return;
        const upload = this.get(id);
        if (!upload) end(() => reject(explained({ code: "UPLOAD_NOT_FOUND", detail: id })));
        else if (upload.object) end(() => resolve(upload.object as StoredObject));
        else if (upload.state === "canceled") end(() => reject(explained({ code: "CANCELED", detail: "" })));
        else if (upload.state === "failed") end(() => reject(upload.error));
      });
      if (isOver) stop();
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

  /** Tries a failed upload again: it goes on where it stopped. @throws {UploadError} `UPLOAD_NOT_FOUND`, `STATE_INVALID` */
  async retry(id: string): Promise<void> {
    await this.#command((api) => api.retry(id));
  }

  /** Tries all failed uploads again. */
  async retryAll(): Promise<void> {
    await this.#command((api) => api.retry(null));
  }

  /** Ends an upload and drops its parts at S3. @throws {UploadError} `UPLOAD_NOT_FOUND`, `STATE_INVALID` if it is done */
  async cancel(id: string): Promise<void> {
    await this.#command((api) => api.cancel(id));
  }

  /**
   * Takes an ended upload off the list; without an id, all that are done or canceled (what failed stays: somebody should see
   * it). Objects stay.
   *
   * @throws {UploadError} `STATE_INVALID` if it has not ended
   */
  async remove(id?: string): Promise<void> {
    await this.#command((api) => api.remove(id ?? null));
  }

  /**
   * Gives a file back to an upload that waits for it (`waiting`, reason `file`).
   *
   * @throws {UploadError} `FILE_MISMATCH` if it is another file, `STATE_INVALID`, `UPLOAD_NOT_FOUND`
   */
  async attach(id: string, file: Source): Promise<void> {
    await this.#command((api) => api.attach(id, file));
  }

  /**
   * Asks the user to let an upload's file be read again, which was added by its handle (`waiting`, reason `file`, error
   * `FILE_PERMISSION`). To be called on a click or a key.
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

  /** Else the browser may drop what is stored when the disk is full. Once, and not waited for: Firefox asks the user. */
  #askToPersist(): void {
    if (!this.#persist) return;
    this.#persist = false;
    this.#platform.persistStorage();
  }

  /**
   * Says who is signed in; "" for nobody. Until they are back, uploads of all others rest as they are: they are not listed,
   * can't be addressed (`UPLOAD_NOT_FOUND`), and not a byte of theirs is sent. What was added without anybody signed in is
   * nobody's. Kept across sessions, since a worker may wake with no page to ask. Headers of `setAuth` are forgotten with
   * their user: give new ones afterwards.
   *
   * @param owner any name for the user that stays the same, of at most 1,024 characters
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
   * Gives headers for the app's server anew, as the option `auth` of `connectUploads` does, and lets what waits for them go on.
   * After a change of user (`setOwner`) it is needed.
   *
   * @throws {UploadError} `OWNER_CHANGED` if another tab has said since that somebody else is signed in
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

  /** Whoever has given a command finds it done in the list. */
  async #command(use: (api: Remote<WorkerApi>) => Promise<Reply<ListMark>>): Promise<void> {
    await this.#mirror.reaches(await this.#connection.call(use));
  }

  /** What uploads survive here: in this browser, and with this app's set-up. */
  guarantees(): Guarantees {
    const { backgroundFetch, worker } = this.#platform;
    return guaranteesOf({
      canHandOver: backgroundFetch !== undefined && this.#mirror.hasRelay,
      canSync: worker.canSync,
    });
  }

  /** Disconnects this page from the worker. Uploads go on. */
  close(): void {
    for (const undo of this.#undos) undo();
    this.#watch.stop();
    this.#alarm.stop();
    this.#handOver.close();
    this.#mirror.close();
    this.#connection.close();
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
