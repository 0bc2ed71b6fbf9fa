import type { UploadSnapshot } from "../../src/core/snapshot.ts";
import { isActive, type UploadRecord } from "../../sw/model/record.ts";
import type { VirtualTime } from "../support/virtual-time.ts";
import type { SimRequest } from "./world/network.ts";
import type { SimBrowser } from "./world/sim-browser.ts";
import type { SimS3 } from "./world/sim-s3.ts";

/** What is known of an upload from outside: what its user has done to it, and what became of it. */
export interface KnownUpload {
  readonly key: string;
  readonly size: number;
  /** Names the content that was picked. */
  readonly content: string;
  /** Since when it is paused, or canceled for good, as its user was told; by `elapsed`. */
  pausedAt: number | undefined;
  endedAt: number | undefined;
  /** Its user has asked for its end, and may not have heard of it yet. */
  isEnding: boolean;
  /** `add` has told its user that the file is safe. */
  isPromised: boolean;
  /** Pages have shown that its bytes outlive the worker. */
  isStored: boolean;
  /** It need not arrive: its file was changed, or the database was deleted. */
  isExcused: boolean;
  /** Its progress may go back: the disk has failed, so that a worker's death forgets some; or the database was deleted. */
  isProgressExcused: boolean;
  /** Most bytes that were shown as uploaded, by page. */
  readonly uploadedBytes: Map<string, number>;
}

export function knownUpload(facts: Pick<KnownUpload, "key" | "size" | "content">): KnownUpload {
  return {
    ...facts,
    pausedAt: undefined,
    endedAt: undefined,
    isEnding: false,
    isPromised: false,
    isStored: false,
    isExcused: false,
    isProgressExcused: false,
    uploadedBytes: new Map(),
  };
}

export interface MonitorContext {
  readonly time: VirtualTime;
  readonly s3: SimS3;
  readonly browser: () => SimBrowser;
  /** Records on disk, whoever may read them. */
  readonly records: () => ReadonlyMap<string, UploadRecord>;
  readonly lockName: string;
  /** Who is signed in, and since when, by `elapsed`. */
  readonly owner: () => { readonly name: string; readonly since: number };
}

/** What still may arrive after a pause, a cancel or a sign-out: requests that were on their way, and their begin. */
export const HALT_MS = 2_000;
/** `sync` events within an hour: the browser repeats them after minutes, and pages ask for the next when one was held for three. */
const MOST_SYNCS = 100;
const HOUR_MS = 3_600_000;
/** A small write must not wait longer for others. */
const LONGEST_WAIT_MS = 5_000;

/** Watches a history and notes what must never be. */
export class Monitor {
  readonly violations: string[] = [];
  readonly log: string[] = [];
  /** By key. */
  readonly uploads = new Map<string, KnownUpload>();
  /** Keys by the pages' own ids. */
  readonly #keys = new Map<string, string>();
  readonly #context: MonitorContext;
  readonly #confirmed = new Set<string>();
  readonly #underWay = new Map<string, SimRequest>();
  writes = 0;
  readonly #syncsAt: number[] = [];
  readonly requestsAt: number[] = [];
  /** What has happened from outside. */
  disturbances = 0;

  constructor(context: MonitorContext) {
    this.#context = context;
  }

  note(text: string): void {
    this.log.push(`${(this.#context.time.elapsed / 1_000).toFixed(3).padStart(10)} ${text}`);
  }

  violate(rule: string, detail = ""): void {
    this.note(`VIOLATED: ${rule} ${detail}`);
    this.violations.push(detail ? `${rule}: ${detail}` : rule);
  }

  /** The app has deleted the database: what was in it need not arrive, and may begin anew if its page still asks for it. */
  forgetAll(): void {
    for (const upload of this.uploads.values()) {
      upload.isExcused = true;
      upload.isProgressExcused = true;
    }
    this.#confirmed.clear();
  }

  // Requests of workers.

  requestStarts(request: SimRequest): void {
    const { time, browser, lockName, s3 } = this.#context;
    const { life, operation, url, fingerprint } = request;
    const part = partOf(request);
    this.note(`→ ${operation} ${part}`);
    this.requestsAt.push(time.elapsed);
    if (operation !== "put" && !["begin", "sign", "complete"].includes(operation)) return;
    if (!browser().isDriver(life, lockName)) this.violate("two workers drive at once", operation);
    const upload = this.#uploadOf(request);
    if (upload) this.#assertMayMove(upload, operation);
    if (operation === "begin" && upload) this.#assertNothingIsThrownAway(request, upload);
    if (operation !== "put") return;
    if (this.#underWay.has(part)) this.violate("a part is sent twice at the same time", part);
    this.#underWay.set(part, request);
    if (this.#confirmed.has(`${part} ${fingerprint}`))
      this.violate("a part that was confirmed is sent again", part);
    const storedAt = s3.storedAt(url, fingerprint);
    const isCarried = browser().transfers.running.some(({ url: { searchParams } }) => {
      const first = Number(searchParams.get("first"));
      const partNumber = Number(url.searchParams.get("partNumber"));
      return partNumber >= first && partNumber < first + Number(searchParams.get("count"));
    });
    if (storedAt !== undefined && time.elapsed - storedAt > 1_500 && !isCarried)
      this.violate("a part that S3 has is sent again", part);
  }

  /** Set by whoever has a relay. */
  released: (body: unknown) => Promise<void> = async () => {};

  putStored(request: SimRequest): void {
    this.note(`  stored ${partOf(request)}`);
  }

  putConfirmed(request: SimRequest): void {
    this.#confirmed.add(`${partOf(request)} ${request.fingerprint}`);
  }

  requestEnds(request: SimRequest): void {
    const part = partOf(request);
    if (this.#underWay.get(part) === request) this.#underWay.delete(part);
    this.note(`← ${request.operation} ${part}`);
  }

  /** What is paused, has ended, or belongs to another user has nothing on its way any more. */
  assertHalted(keys: readonly string[]): void {
    for (const request of this.#underWay.values())
      if (keys.includes(this.#uploadOf(request)?.key ?? ""))
        this.violate(
          "an upload that was halted still sends",
          `${partOf(request)} of ${this.#uploadOf(request)?.key}`,
        );
  }

  /** An upload that S3 still has, with parts, must go on, and not begin anew. */
  #assertNothingIsThrownAway({ body }: SimRequest, { key, isEnding, isExcused }: KnownUpload): void {
    const { uploadId } = body as { uploadId: string };
    const open = [...this.#context.s3.uploads.values()].find(
      (upload) => upload.uploadId === uploadId && upload.parts.size > 0,
    );
    if (open && !isEnding && !isExcused) this.violate("an upload that S3 has begins anew", key);
  }

  #assertMayMove(upload: KnownUpload, operation: string): void {
    const { time, owner, records } = this.#context;
    const isLate = (since: number | undefined) => since !== undefined && time.elapsed - since > HALT_MS;
    if (isLate(upload.pausedAt) && !upload.isEnding)
      this.violate("a paused upload moves", `${operation} of ${upload.key}`);
    // A begin whose answer was lost is asked again, to find out what is to be dropped.
    if (isLate(upload.endedAt) && operation !== "begin")
      this.violate("a canceled upload moves", `${operation} of ${upload.key}`);
    const { name, since } = owner();
    const record = [...records().values()].find(({ wantedKey }) => wantedKey === upload.key);
    if (record && record.owner !== name && isLate(since))
      this.violate("another user's upload moves", `${operation} of ${upload.key}`);
  }

  #uploadOf({ url, body, operation }: SimRequest): KnownUpload | undefined {
    if (operation === "begin") {
      const { uploadId, key } = body as { uploadId: string; key: string };
      this.#keys.set(uploadId, key);
      return this.uploads.get(key);
    }
    return operation === "put"
      ? this.uploads.get(decodeURIComponent(url.pathname.replace(/^\/bucket\//, "")))
      : undefined;
  }

  // S3.

  aborting(uploadId: string, partCount: number): void {
    const upload = this.uploads.get(this.#keys.get(uploadId) ?? "");
    this.note(`  S3 drops ${upload?.key ?? uploadId} with ${partCount} parts`);
    if (upload && !upload.isEnding && !upload.isExcused && partCount > 0)
      this.violate("an upload is aborted at S3 that its user has not ended", upload.key);
  }

  completed(uploadId: string, key: string): void {
    this.note(`  S3 has completed ${key} of ${uploadId}`);
  }

  // Pages.

  shown(tabId: string, list: readonly UploadSnapshot[]): void {
    for (const { key, uploadedBytes, state, error, durability } of list) {
      const upload = this.uploads.get(key);
      if (!upload) continue;
      if (error?.code === "FILE_LOST" && state === "waiting" && upload.isStored && !upload.isExcused)
        this.violate("bytes that were safe are lost", key);
      upload.isStored = durability !== "memory";
      if (state === "failed" && !upload.isExcused && !upload.isEnding)
        this.violate("an upload has failed though nothing is hopeless", `${key}: ${error?.code}`);
      const before = upload.uploadedBytes.get(tabId) ?? 0;
      // An upload that S3 has dropped begins anew, and so does its progress; one that was canceled has none any more.
      if (uploadedBytes < before && !upload.isProgressExcused && state !== "queued" && state !== "canceled")
        this.violate("progress goes back", `${key}: ${uploadedBytes} after ${before}`);
      upload.uploadedBytes.set(tabId, uploadedBytes);
    }
  }

  // The disk.

  wrote(call: string): void {
    if (call !== "putBytes") this.writes += 1;
    // What writes without end would never come to the end, where it is compared.
    if (this.writes > 10 * this.#allowedWrites) this.assertCost();
  }

  waited(call: string, ms: number): void {
    if (ms > LONGEST_WAIT_MS) this.violate("a small write waits behind a large one", `${call} for ${ms} ms`);
  }

  syncFired(): void {
    const now = this.#context.time.elapsed;
    this.#syncsAt.push(now);
    const before = this.#syncsAt.at(-MOST_SYNCS);
    if (before !== undefined && now - before < HOUR_MS)
      this.violate("the browser wakes the worker without end");
  }

  syncUsed(): void {
    const { browser, records, owner } = this.#context;
    if (browser().tabs.length > 0) return;
    const left = [...records().values()].find(
      (record) => record.owner === owner().name && (isActive(record) || waitsForNetworkOrTime(record)),
    );
    if (left)
      this.violate(
        "the browser's wake-up is used up though something still waits",
        `${left.key}: ${left.state}`,
      );
  }

  /** A begin, its bytes, each part's claim and receipt, its end; and for each thing that happens, all that were under way. */
  get #allowedWrites(): number {
    return 40 + 14 * this.uploads.size + 3 * this.requestsAt.length + this.disturbances * 30;
  }

  /** What was written must stay within a small constant for each upload, part, command and fault. */
  assertCost(): void {
    const allowed = this.#allowedWrites;
    if (this.writes > allowed)
      this.violate("the database is written too often", `${this.writes} times, ${allowed} allowed`);
  }

  /** What is done must be, byte for byte, what was picked. */
  assertObjects(list: readonly UploadSnapshot[]): void {
    for (const { key, state } of list) {
      const upload = this.uploads.get(key);
      if (state !== "done" || !upload) continue;
      const object = this.#context.s3.objects.get(upload.key);
      if (!object) this.violate("what is done is not there", upload.key);
      else if (!isWhole(object.fingerprints, upload))
        this.violate(
          "what is done is not what was picked",
          `${upload.key}: ${object.fingerprints.join(" ")}`,
        );
    }
  }
}

function waitsForNetworkOrTime(record: UploadRecord): boolean {
  return record.state === "waiting" && (record.reason === "offline" || record.reason === "backoff");
}

function partOf({ url, operation }: SimRequest): string {
  if (operation !== "put") return "";
  const { searchParams, pathname } = url;
  return `${searchParams.get("uploadId") ?? pathname} ${searchParams.get("partNumber") ?? "whole"}`;
}

/** Whether these pieces, end to end, are the whole of the content. */
function isWhole(fingerprints: readonly string[], { content, size }: KnownUpload): boolean {
  let at = 0;
  for (const fingerprint of fingerprints) {
    const [, name, start, end] = /^(.*):(\d+)-(\d+)$/.exec(fingerprint) ?? [];
    if (name !== content || Number(start) !== at) return false;
    at = Number(end);
  }
  return at === size;
}
