import {
  type AddOptions,
  type Guarantees,
  type ListListener,
  type StoredObject,
  UploadError,
  type UploadErrorCode,
  type UploadSnapshot,
  type Uploads,
} from "backhaul";

/** What happens to an upload next: it has come so far (0 to 1), waits, fails, or is done. */
export type UploadStep =
  | {
      /** How much has been sent, from 0 to 1. */
      readonly progress: number;
    }
  | {
      /** Why it waits. */
      readonly wait: "offline" | "backoff" | "auth" | "file" | "conditions";
    }
  | {
      /** The fault for which it fails. */
      readonly fail: UploadErrorCode;
    }
  | "done";

/** How a fake behaves. */
export interface FakeUploadsOptions {
  /**
   * What becomes of each upload, one step at each call of `step`. Further files get none: they stay where they are.
   * @default [{ progress: 0.5 }, "done"]
   */
  readonly script?: (upload: UploadSnapshot) => readonly UploadStep[];
  /** What `guarantees()` says. @default { tabClosed: "limited", browserClosed: "nextVisit", crash: "nextVisit" } */
  readonly guarantees?: Guarantees;
}

/** What can be added. */
type Source = Parameters<Uploads["add"]>[0];
/** Methods that can be told to reject. */
type Refusable = "add" | "pause" | "resume" | "retry" | "cancel" | "remove" | "attach" | "requestPermission";

const ENDED: readonly UploadSnapshot["state"][] = ["done", "failed", "canceled"];

/** A fake of what `connectUploads` returns. Calls change the list as they do in a browser, with the same errors. */
export class FakeUploads implements Uploads {
  readonly #options: FakeUploadsOptions;
  readonly #listeners = new Set<ListListener>();
  readonly #steps = new Map<string, UploadStep[]>();
  readonly #refusals = new Map<Refusable, UploadErrorCode[]>();
  /** Rejects for whoever waits for an end when this closes. */
  readonly #unsettled = new Set<() => void>();
  #list: readonly UploadSnapshot[] = [];
  #count = 0;
  #owner = "";
  #auth: unknown;

  /** Makes one without uploads. */
  constructor(options: FakeUploadsOptions = {}) {
    this.#options = options;
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(FakeUploads.prototype)))
      if (typeof value === "function" && name !== "constructor")
        Object.defineProperty(this, name, { value: value.bind(this) });
  }

  /** Who is signed in by `setOwner`. */
  get owner(): string {
    return this.#owner;
  }

  /** What `setAuth` was given last. */
  get auth(): unknown {
    return this.#auth;
  }

  /** Lets each upload that moves take the next step of its script. Returns whether anything has happened. */
  step(): boolean {
    let hasMoved = false;
    for (const { id, state } of this.#list) {
      if (state !== "queued" && state !== "uploading" && state !== "waiting") continue;
      const next = this.#steps.get(id)?.shift();
      if (next === undefined) continue;
      hasMoved = true;
      this.apply(id, next);
    }
    return hasMoved;
  }

  /** Lets all scripts run to their end. */
  stepToEnd(): void {
    while (this.step());
  }

  /** Has this happen to an upload now. @throws {UploadError} `UPLOAD_NOT_FOUND` */
  apply(id: string, step: UploadStep): void {
    const { size } = this.#find(id);
    if (step === "done") this.#end(id);
    else if ("progress" in step) {
      const bytes = Math.round(size * step.progress);
      this.change(id, {
        state: "uploading",
        reason: null,
        error: null,
        uploadedBytes: bytes,
        estimatedBytes: bytes,
      });
    } else if ("wait" in step) this.change(id, { state: "waiting", reason: step.wait });
    else this.change(id, { state: "failed", reason: null, error: new UploadError(step.fail) });
  }

  /** Changes a snapshot in any way, for states that no step leads to. @throws {UploadError} `UPLOAD_NOT_FOUND` */
  change(id: string, change: Partial<Omit<UploadSnapshot, "id">>): void {
    const changed = { ...this.#find(id), ...change };
    this.#show(this.#list.map((upload) => (upload.id === id ? changed : upload)));
  }

  /** Has the next call of a method reject with an `UploadError` of this code. */
  refuseNext(method: Refusable, code: UploadErrorCode): void {
    this.#refusals.set(method, [...(this.#refusals.get(method) ?? []), code]);
  }

  /** As of `Uploads`. @throws {UploadError} what `refuseNext` has said */
  async add(file: Source, options: AddOptions): Promise<string> {
    const [id] = await this.addAll([{ file, ...options }]);
    return id as string;
  }

  /** As of `Uploads`. @throws {UploadError} what `refuseNext("add", …)` has said */
  async addAll(files: Parameters<Uploads["addAll"]>[0]): Promise<string[]> {
    this.#refuse("add");
    const added = await Promise.all(files.map(({ file, ...options }) => this.#snapshot(file, options)));
    for (const upload of added) {
      const script = this.#options.script?.(upload) ?? [{ progress: 0.5 }, "done"];
      this.#steps.set(upload.id, [...script]);
    }
    this.#show([...this.#list, ...added]);
    return added.map(({ id }) => id);
  }

  /** As of `Uploads`. */
  list(): readonly UploadSnapshot[] {
    return this.#list;
  }

  /** As of `Uploads`. */
  get(id: string): UploadSnapshot | undefined {
    return this.#list.find((upload) => upload.id === id);
  }

  /** As of `Uploads`. */
  subscribe(listener: ListListener): () => void {
    const each: ListListener = (uploads) => listener(uploads);
    this.#listeners.add(each);
    each(this.#list);
    return () => this.#listeners.delete(each);
  }

  /** As of `Uploads`. */
  finished(id: string): Promise<StoredObject> {
    return new Promise((resolve, reject) => {
      const closed = () => end(() => reject(new UploadError("CONNECTION_CLOSED")));
      const end = (settle: () => void) => {
        this.#listeners.delete(check);
        this.#unsettled.delete(closed);
        settle();
      };
      const check = () => {
        const upload = this.get(id);
        if (!upload) end(() => reject(new UploadError("UPLOAD_NOT_FOUND", id)));
        else if (upload.object) end(() => resolve(upload.object as StoredObject));
        else if (upload.state === "canceled") end(() => reject(new UploadError("CANCELED")));
        else if (upload.state === "failed") end(() => reject(upload.error));
      };
      this.#listeners.add(check);
      this.#unsettled.add(closed);
      check();
    });
  }

  /** As of `Uploads`. */
  async pause(id?: string): Promise<void> {
    this.#refuse("pause");
    this.#each(id, (upload) => {
      if (!ENDED.includes(upload.state)) this.change(upload.id, { state: "paused", reason: "user" });
    });
  }

  /** As of `Uploads`. */
  async resume(id?: string): Promise<void> {
    this.#refuse("resume");
    this.#each(id, (upload) => {
      if (upload.state === "paused") this.change(upload.id, { state: "queued", reason: null });
    });
  }

  /** As of `Uploads`. The rest of its script follows. */
  async retry(id: string): Promise<void> {
    this.#refuse("retry");
    const { state } = this.#find(id);
    if (state === "done" || state === "canceled") throw new UploadError("STATE_INVALID");
    if (state === "failed") this.change(id, { state: "queued", error: null });
  }

  /** As of `Uploads`. */
  async retryAll(): Promise<void> {
    for (const { id, state } of this.#list) if (state === "failed") await this.retry(id);
  }

  /** As of `Uploads`. */
  async cancel(id: string): Promise<void> {
    this.#refuse("cancel");
    if (this.#find(id).state === "done") throw new UploadError("STATE_INVALID");
    this.change(id, { state: "canceled", reason: null, error: null });
  }

  /** As of `Uploads`. */
  async remove(id?: string): Promise<void> {
    this.#refuse("remove");
    if (id !== undefined && !ENDED.includes(this.#find(id).state)) throw new UploadError("STATE_INVALID");
    const isRemoved = (upload: UploadSnapshot) =>
      id === undefined ? upload.state === "done" || upload.state === "canceled" : upload.id === id;
    this.#show(this.#list.filter((upload) => !isRemoved(upload)));
  }

  /** As of `Uploads`. */
  async attach(id: string, file: Source): Promise<void> {
    this.#refuse("attach");
    const { state, reason, size } = this.#find(id);
    if (state !== "waiting" || reason !== "file") throw new UploadError("STATE_INVALID");
    if ((await blobOf(file)).size !== size) throw new UploadError("FILE_MISMATCH");
    this.change(id, { state: "queued", reason: null, error: null });
  }

  /** As of `Uploads`. */
  async requestPermission(id: string): Promise<void> {
    this.#refuse("requestPermission");
    if (this.#find(id).error?.code !== "FILE_PERMISSION") throw new UploadError("STATE_INVALID");
    this.change(id, { state: "queued", reason: null, error: null });
  }

  /** Notes who is signed in, for `owner`. What another user has added is hidden no more than a test hides it itself. */
  async setOwner(owner: string): Promise<void> {
    this.#owner = owner;
  }

  /** Drops that user's uploads. */
  async forget(owner: string): Promise<void> {
    this.#show(this.#list.filter((upload) => upload.owner !== owner));
    if (this.#owner === owner) this.#owner = "";
  }

  /** Notes the headers, for `auth`. */
  async setAuth(auth: Parameters<Uploads["setAuth"]>[0]): Promise<void> {
    this.#auth = auth;
  }

  /** As the options say. */
  guarantees(): Guarantees {
    return (
      this.#options.guarantees ?? { tabClosed: "limited", browserClosed: "nextVisit", crash: "nextVisit" }
    );
  }

  /** As of `Uploads`. */
  close(): void {
    this.#listeners.clear();
    for (const closed of [...this.#unsettled]) closed();
  }

  async #snapshot(file: Source, options: AddOptions): Promise<UploadSnapshot> {
    const blob = await blobOf(file);
    const order = ++this.#count;
    const now = Date.now();
    return {
      id: `00000000-0000-4000-8000-${String(order).padStart(12, "0")}`,
      order,
      key: options.key,
      name: options.name ?? ("name" in file ? file.name : (options.key.split("/").at(-1) ?? "")),
      type: options.type ?? blob.type,
      size: blob.size,
      owner: this.#owner,
      state: "queued",
      reason: null,
      lane: null,
      durability: "stored",
      uploadedBytes: 0,
      estimatedBytes: 0,
      bytesPerSecond: null,
      etaSeconds: null,
      partsDone: 0,
      partsTotal: 1,
      partSize: options.partSize ?? blob.size,
      attempts: 0,
      faults: 0,
      troubledParts: [],
      nextAttemptAt: null,
      error: null,
      createdAt: now,
      updatedAt: now,
      object: null,
    };
  }

  #end(id: string): void {
    const { size, key } = this.#find(id);
    this.change(id, {
      state: "done",
      reason: null,
      error: null,
      uploadedBytes: size,
      estimatedBytes: size,
      partsDone: 1,
      object: { key, size, etag: `"${id}"`, location: `https://bucket.example.com/${key}` },
    });
  }

  #find(id: string): UploadSnapshot {
    const upload = this.get(id);
    if (!upload) throw new UploadError("UPLOAD_NOT_FOUND", id);
    return upload;
  }

  #each(id: string | undefined, change: (upload: UploadSnapshot) => void): void {
    for (const upload of id === undefined ? this.#list : [this.#find(id)]) change(upload);
  }

  #refuse(method: Refusable): void {
    const code = this.#refusals.get(method)?.shift();
    if (code !== undefined) throw new UploadError(code);
  }

  #show(list: readonly UploadSnapshot[]): void {
    this.#list = list;
    for (const listener of [...this.#listeners]) listener(list);
  }
}

async function blobOf(file: Source): Promise<Blob> {
  return file instanceof Blob ? file : file.getFile();
}
