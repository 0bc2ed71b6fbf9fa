import type { VirtualTime } from "../../support/virtual-time.ts";

/** Requests that Chromium sends at a time, over all fetches. */
const AT_ONCE = 2;
const MOST_STARTS = 6;
/** From the end of a navigation until the download service looks for requests without an entry. */
const NAVIGATION_MS = 30_000;

export interface BackgroundRequest {
  readonly url: URL;
  readonly headers: Headers;
  readonly body: Blob;
  /** The page's own `Request`, as `matchAll` gives it back. */
  readonly request: Request;
}

/** One copy of a request on its way. */
export interface Transmission {
  /** Settles with the answer, or rejects if the connection broke. */
  readonly answered: Promise<Response>;
  /** The server reads from it, which Chromium notices as progress. */
  readonly isBeingRead: () => boolean;
  /** Calls back when the server begins to read from it. */
  readonly onRead: (callback: () => void) => void;
}

interface SimRecord {
  readonly sent: BackgroundRequest;
  readonly copies: Set<Transmission>;
  starts: number;
  response: Response | undefined;
  hasFailed: boolean;
  settle: (response: Response) => void;
  fail: (error: Error) => void;
  readonly responseReady: Promise<Response>;
}

interface SimFetch {
  readonly id: string;
  readonly records: readonly SimRecord[];
}

export interface BackgroundFetchHost {
  transmit(request: BackgroundRequest): Transmission;
  isOnline(): boolean;
  /** Fires `backgroundfetchsuccess` or `backgroundfetchfail` in the worker. */
  ended(type: "backgroundfetchsuccess" | "backgroundfetchfail", fetch: SimFetch): void;
  /** Chromium reads a null entry here, and dies. */
  crash(reason: string): void;
}

/**
 * Background Fetch as Chromium 156 does it: durable, a few requests at a time, and with its download service's habit of
 * starting requests again beside the copies that already run (components/download/internal/background_service).
 */
export class SimBackgroundFetch {
  readonly #time: VirtualTime;
  readonly #host: BackgroundFetchHost;
  readonly #fetches = new Map<string, SimFetch>();
  #undoNavigation = () => {};

  constructor(time: VirtualTime, host: BackgroundFetchHost) {
    this.#time = time;
    this.#host = host;
  }

  start(id: string, requests: readonly BackgroundRequest[]): void {
    const records = requests.map((sent): SimRecord => {
      let settle = (_response: Response) => {};
      let fail = (_error: Error) => {};
      const responseReady = new Promise<Response>((resolve, reject) => {
        settle = resolve;
        fail = reject;
      });
      responseReady.catch(() => {});
      const state = { starts: 0, response: undefined, hasFailed: false };
      return { sent, copies: new Set(), ...state, settle, fail, responseReady };
    });
    this.#fetches.set(id, { id, records });
    this.#time.after(5_000, () => this.#startNext());
  }

  get ids(): string[] {
    return [...this.#fetches.keys()];
  }

  find(id: string): SimFetch | undefined {
    return this.#fetches.get(id);
  }

  /** Requests that are on their way. */
  get running(): BackgroundRequest[] {
    return this.#records().flatMap((record) => (record.copies.size > 0 ? [record.sent] : []));
  }

  /** Some page in the profile has been navigated. Another navigation begins the wait anew. */
  navigated(): void {
    this.#undoNavigation();
    this.#undoNavigation = this.#time.after(NAVIGATION_MS, () => this.#startCopies());
  }

  /** The kind of network, or the battery, has changed. */
  deviceChanged(): void {
    this.#startCopies();
  }

  /** An upload has no entry until its answer begins, so each that runs is taken for one that was not started. */
  #startCopies(): void {
    if (!this.#host.isOnline()) return;
    for (const record of this.#records())
      if (record.copies.size > 0 && !isOver(record)) this.#startCopy(record);
  }

  /** The browser is there again after it was killed: requests that had not ended start again. */
  restart(): void {
    for (const record of this.#records()) {
      record.copies.clear();
      record.starts = 0;
    }
    this.#time.after(5_000, () => this.#startNext());
  }

  /** The link is back. */
  resume(): void {
    this.#startNext();
  }

  /** In the order in which they start: of each fetch by their indices, as text. */
  #records(): SimRecord[] {
    return [...this.#fetches.values()].flatMap(({ records }) => {
      const places = [...records.keys()].map(String).sort();
      return places.flatMap((place) => records[Number(place)] ?? []);
    });
  }

  #startNext(): void {
    if (!this.#host.isOnline()) return;
    const records = this.#records();
    let running = records.filter(({ copies }) => copies.size > 0).length;
    for (const record of records) {
      if (running >= AT_ONCE) return;
      if (record.copies.size > 0 || isOver(record)) continue;
      running += 1;
      this.#startCopy(record);
    }
  }

  #startCopy(record: SimRecord): void {
    record.starts += 1;
    if (record.starts >= MOST_STARTS) {
      this.#fail(record, "out of retries");
      return;
    }
    const copy = this.#host.transmit(record.sent);
    record.copies.add(copy);
    copy.onRead(() => {
      if (record.hasFailed) this.#host.crash("a copy of a request that has failed is read");
    });
    copy.answered.then(
      (response) => {
        record.copies.delete(copy);
        if (isOver(record)) return;
        record.response = response;
        if (response.ok) {
          record.settle(response);
          this.#ended();
        } else {
          record.settle(new Response(null, { status: response.status }));
          this.#fail(record, `answered ${response.status}`);
        }
      },
      () => {
        record.copies.delete(copy);
        // A lost connection is tried again.
        if (!isOver(record)) this.#time.after(1_000, () => this.#startNext());
      },
    );
  }

  /** The request leaves the service's list; a copy whose progress is reported after that reads a null entry. */
  #fail(record: SimRecord, reason: string): void {
    record.hasFailed = true;
    record.fail(new Error(reason));
    if ([...record.copies].some((copy) => copy.isBeingRead()))
      this.#host.crash(`a request was ${reason} while a copy of it was being read`);
    this.#ended();
  }

  #ended(): void {
    for (const fetch of [...this.#fetches.values()])
      if (fetch.records.every(isOver)) {
        this.#fetches.delete(fetch.id);
        const hasFailed = fetch.records.some((record) => record.hasFailed);
        this.#host.ended(hasFailed ? "backgroundfetchfail" : "backgroundfetchsuccess", fetch);
      }
    this.#startNext();
  }
}

function isOver({ response, hasFailed }: SimRecord): boolean {
  return hasFailed || response?.ok === true;
}
