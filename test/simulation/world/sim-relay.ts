import { type PartPlan, partByteRange } from "../../../src/core/part-plan.ts";
import { isEnded } from "../../../src/core/relay-url.ts";
import type { VirtualTime } from "../../support/virtual-time.ts";
import type { BackgroundRequest, Transmission } from "./sim-background-fetch.ts";
import { fingerprint } from "./sim-file.ts";
import type { SimS3 } from "./sim-s3.ts";

/** As `relayHoldSeconds` by default. */
const HOLD_MS = 35_000;
/** Starts of a request at which the relay ends it, before the browser does at the sixth. */
const MOST_STARTS = 5;
/** How long after the last start they are remembered. */
const REMEMBERED_MS = 5 * 60_000;

export interface RelayOptions {
  readonly time: VirtualTime;
  readonly s3: SimS3;
  readonly cookie: () => string | null;
  readonly isOnline: () => boolean;
  readonly bytesPerMs: () => number;
  /** What the upload with this id is cut into, and where it is open at S3. */
  readonly find: (uploadId: string) => { readonly plan: PartPlan; readonly s3UploadId: string } | undefined;
  /** It reads a part of this upload. */
  readonly reads: (uploadId: string, partNumber: number) => void;
  readonly stored: (uploadId: string, partNumber: number) => void;
}

/** A request and its copies: one is read, the others are held. */
interface Range {
  readonly uploadId: string;
  readonly fetchId: string;
  readonly answered: Promise<Response>;
  ending: "afterPart" | "now" | undefined;
  /** Breaks the part off that is being read. */
  stop: () => void;
  /** The browser has broken the copy off that was read. */
  isBroken: boolean;
  /** Settles when nothing more is read or stored. */
  over: Promise<unknown>;
}

/**
 * The relay, as far as a browser sees it: it reads a range of parts, stores each as it comes, and answers with what it has
 * stored; how it treats copies and endings is as in `server/relay.ts`. The real one streams, for which virtual time has no
 * place.
 */
export class SimRelay {
  readonly #options: RelayOptions;
  readonly #connections = new Set<() => void>();
  readonly #ranges = new Map<string, Range>();
  /** How often the browser has started each request, also those whose connection has broken. */
  readonly #starts = new Map<string, { readonly count: number; readonly at: number }>();
  /** Fetches and uploads' shares in them that were ended, and since when. */
  readonly #endedAt = new Map<string, number>();

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  receive(request: BackgroundRequest): Transmission {
    const key = String(request.url);
    const isLast = this.#countStart(key) >= MOST_STARTS;
    let isReading = false;
    let onRead = () => {};
    const read = (): Promise<Response> => {
      const range = this.#start(request, isLast, (reads) => {
        isReading = reads;
        if (reads) onRead();
      });
      this.#ranges.set(key, range);
      return range.answered;
    };
    const known = this.#ranges.get(key);
    const held = known && this.#hold(known, isLast, read);
    return {
      answered: held ?? read(),
      isBeingRead: () => isReading,
      onRead: (callback) => {
        onRead = callback;
        if (isReading) callback();
      },
    };
  }

  /** Breaks every connection. */
  cut(): void {
    for (const breakOff of [...this.#connections]) breakOff();
  }

  /** The operation `release`. Settles once nothing more of it is read or stored. */
  async release(
    uploadIds: readonly string[],
    fetchIds: readonly string[],
    ending: "afterPart" | "now",
  ): Promise<void> {
    for (const uploadId of uploadIds)
      for (const fetchId of fetchIds) {
        this.#noteEnded(fetchId, uploadId);
        for (const range of this.#ranges.values()) {
          if (range.uploadId !== uploadId || range.fetchId !== fetchId) continue;
          range.ending = ending;
          if (ending === "now") range.stop();
          await range.over;
        }
      }
  }

  #noteEnded(fetchId: string, uploadId: string): number {
    const key = `${fetchId} ${uploadId}`;
    const at = this.#endedAt.get(key) ?? this.#options.time.elapsed;
    this.#endedAt.set(key, at);
    return at;
  }

  /** A copy is not read. If the one that is read breaks, the next is read in its place. */
  async #hold(range: Range, isLast: boolean, readOn: () => Promise<Response>): Promise<Response> {
    if (isLast) {
      range.ending = "now";
      range.stop();
    }
    const connection = this.#connection();
    try {
      return await Promise.race([range.answered, connection.broken]);
    } catch (error) {
      if (!range.isBroken || connection.isBroken()) throw error;
      return await readOn();
    } finally {
      connection.end();
    }
  }

  #countStart(key: string): number {
    const { elapsed } = this.#options.time;
    const known = this.#starts.get(key);
    const count = known && elapsed - known.at < REMEMBERED_MS ? known.count + 1 : 1;
    this.#starts.set(key, { count, at: elapsed });
    return count;
  }

  #start(request: BackgroundRequest, isLast: boolean, reads: (isReading: boolean) => void): Range {
    const { upload = "", fetch = "" } = Object.fromEntries(request.url.searchParams);
    let over = () => {};
    const range: { -readonly [Key in keyof Range]: Range[Key] } = {
      uploadId: upload,
      fetchId: fetch,
      ending: isLast ? "now" : undefined,
      stop: () => {},
      isBroken: false,
      over: new Promise<void>((resolve) => {
        over = resolve;
      }),
      answered: Promise.reject(new Error("not started")),
    };
    range.answered.catch(() => {});
    const key = String(request.url);
    range.answered = this.#read(request, range, reads).finally(over);
    // Held until a copy that another server may read has come to its end.
    range.answered = range.answered
      .then(async (response) => {
        if (!response.ok && range.ending) await this.#wait(HOLD_MS);
        return response;
      })
      .catch((error: unknown) => {
        range.isBroken = true;
        if (this.#ranges.get(key) === range) this.#ranges.delete(key);
        throw error;
      });
    range.answered.catch(() => {});
    return range;
  }

  async #read(
    { url, body }: BackgroundRequest,
    range: Range,
    reads: (isReading: boolean) => void,
  ): Promise<Response> {
    const { time, s3, cookie, bytesPerMs, find, stored } = this.#options;
    const { upload = "", first = "1", count = "0", fetch = "" } = Object.fromEntries(url.searchParams);
    const parts: { partNumber: number; etag: string; checksum: null }[] = [];
    const start = Number(first);
    const end = start + Number(count);
    // Unread, it may be refused at once, unless a copy of it is read elsewhere.
    await this.#travel(time, 40, range, () => {});
    if (isEnded(cookie(), fetch, upload)) this.#noteEnded(fetch, upload);
    const endedAt = this.#endedAt.get(`${fetch} ${upload}`);
    if (endedAt !== undefined) {
      await this.#wait(endedAt + HOLD_MS - time.elapsed);
      return new Response(null, { status: 409 });
    }
    const found = find(upload);
    const has = (partNumber: number) => found && s3.uploads.get(found.s3UploadId)?.parts.has(partNumber);
    let isStored = found !== undefined;
    for (let partNumber = start; partNumber < end; partNumber++) isStored &&= has(partNumber) ?? false;
    if (isStored) return new Response(null, { status: 409 });
    for (let partNumber = start; partNumber < end; partNumber++) {
      if (range.ending) return new Response(null, { status: 409 });
      const open = find(upload);
      if (!open) return new Response(null, { status: 410 });
      const { plan, s3UploadId } = open;
      const offset = partByteRange(plan, start).start;
      const { start: from, end: to } = partByteRange(plan, partNumber);
      const part = body.slice(from - offset, to - offset);
      this.#options.reads(upload, partNumber);
      await this.#travel(time, part.size / bytesPerMs(), range, reads);
      if (range.ending === "now") return new Response(null, { status: 409 });
      const target = new URL(`https://s3.test/bucket/${keyOf(s3, s3UploadId)}`);
      target.search = new URLSearchParams({
        uploadId: s3UploadId,
        partNumber: String(partNumber),
        ...NEVER_EXPIRES,
      }).toString();
      const { status, etag } = s3.put(target, new Headers(), part.size, fingerprint(part));
      if (status !== 200 || !etag) return new Response(null, { status: 410 });
      stored(upload, partNumber);
      parts.push({ partNumber, etag, checksum: null });
    }
    return Response.json({ parts });
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#options.time.after(Math.max(0, ms), resolve);
    });
  }

  /** Rejects when the connection breaks; settles when the time is over, or the range is stopped. */
  async #travel(
    time: VirtualTime,
    ms: number,
    range: { stop: () => void },
    reads: (isReading: boolean) => void,
  ): Promise<void> {
    const connection = this.#connection();
    reads(true);
    try {
      await Promise.race([
        connection.broken,
        new Promise<void>((resolve) => {
          range.stop = resolve;
          time.after(ms, resolve);
        }),
      ]);
    } finally {
      reads(false);
      connection.end();
    }
  }

  #connection() {
    let isBroken = false;
    let breakOff = () => {};
    const broken = new Promise<never>((_, reject) => {
      breakOff = () => {
        isBroken = true;
        reject(new TypeError("Failed to fetch"));
      };
    });
    broken.catch(() => {});
    this.#connections.add(breakOff);
    if (!this.#options.isOnline()) breakOff();
    return { broken, isBroken: () => isBroken, end: () => this.#connections.delete(breakOff) };
  }
}

const NEVER_EXPIRES = { "X-Amz-Date": "29991231T000000Z", "X-Amz-Expires": "0" };

function keyOf(s3: SimS3, s3UploadId: string): string {
  return encodeURIComponent(s3.uploads.get(s3UploadId)?.key ?? "");
}
