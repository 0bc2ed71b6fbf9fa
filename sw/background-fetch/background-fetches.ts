import * as v from "valibot";
import { MAX_RELEASED, type ReleaseRequest, relayAnswer, relayQuery } from "../../src/core/http-api.ts";
import type { PartRange } from "../../src/core/part-ranges.ts";
import { endedEntry, RELAY_TOKEN_HEADER } from "../../src/core/relay-url.ts";
import type { PartReceipt } from "../../src/core/storage.ts";
import { FETCH_PREFIX } from "../../src/protocol/protocol.ts";
import {
  type BackgroundFetchRecord,
  type BackgroundFetchRegistration,
  type Platform,
  postJson,
  sleep,
} from "../platform/index.ts";
import { EndedFetches } from "./ended-fetches.ts";

/** Whom the Background Fetches tell what happens to the uploads that they carry. */
export interface BackgroundFetchHost {
  /** The browser carries these uploads now, or no longer. */
  handedOver(uploadIds: readonly string[], isHandedOver: boolean): void;
  /** The relay has stored parts. */
  partsArrived(uploadId: string, token: string, parts: readonly PartReceipt[]): Promise<void>;
  /** Whether the app wants the browser to carry this upload, with or without a page. */
  prefersBrowser(uploadId: string): boolean;
  /** Whether the upload belongs to somebody who is not signed in now, and so must not move. */
  isForeign(uploadId: string): boolean;
  /** Whether nothing is to be sent of the upload: it is paused, or has come to its end. */
  isResting(uploadId: string): boolean;
  /**
   * Parts of these ranges may have been stored, or be stored at this moment.
   *
   * @param inMs when to look them up, in milliseconds: until then the browser or the relay may be sending them
   */
  rangesInDoubt(ranges: readonly PartRange[], inMs: number): Promise<void>;
  /** The browser has brought a range to its end, and so will probably bring the others. */
  browserProgresses(): void;
}

/** A Background Fetch shows up in the worker only once the browser has copied the descriptions of its bodies. */
const APPEARS_WITHIN_MS = 10_000;
const LOOK_EVERY_MS = 200;
/** The relay finishes the parts that it is sending, if it may. */
const RELEASED_WITHIN_MS = 10_000;
/** Ranges that the browser sends at a time, and how long it is left alone with them. */
const AT_ONCE = 2;
const CARRIED_WITHIN_MS = 60_000;

type FetchPlatform = Pick<Platform, "backgroundFetch" | "cookies" | "clock" | "worker" | "fetch">;

/**
 * The browser's own transfers (Background Fetch). Only a window can start one; here they are followed and ended, and their
 * outcome is taken in. What they carry stands in their requests, so that a worker that knows nothing can go on.
 */
export class BackgroundFetches {
  readonly #platform: FetchPlatform;
  readonly #host: BackgroundFetchHost;
  readonly #ended: EndedFetches;
  /** Ids of the uploads in each fetch that is under way. */
  readonly #uploads = new Map<string, Set<string>>();
  /** Uploads that are to be released together. */
  readonly #toRelease = new Set<string>();
  #releasing: Promise<void> | undefined;

  constructor(platform: FetchPlatform, host: BackgroundFetchHost) {
    this.#platform = platform;
    this.#host = host;
    this.#ended = new EndedFetches(platform);
  }

  /** Takes note of fetches that are under way, of an earlier life or announced by a page that has gone. */
  async follow(announced?: string): Promise<void> {
    if (announced !== undefined) await this.#appears(announced);
    for (const transfer of await this.#underWay())
      if (!this.#uploads.has(transfer.id)) await this.#follow(transfer);
    // A worker may have died between the change of users and the end of their fetches, and a page may know of it late.
    await this.takeBackForeign();
  }

  /** Some uploads are carried by the browser. */
  get areUnderWay(): boolean {
    return this.#uploads.size > 0;
  }

  /** Ends every fetch but those that the app wanted with a page open; what they have sent counts. */
  takeBack(): Promise<void> {
    return this.#takeBack(
      (ranges) => ranges.length === 0 || !ranges.every(({ uploadId }) => this.#host.prefersBrowser(uploadId)),
      "afterPart",
    );
  }

  /** Ends every fetch that carries uploads of somebody who is not signed in any more. */
  takeBackForeign(): Promise<void> {
    return this.#takeBack((ranges) => ranges.some(({ uploadId }) => this.#host.isForeign(uploadId)), "now");
  }

  async #takeBack(isWanted: (ranges: readonly PartRange[]) => boolean, ending: Ending): Promise<void> {
    for (const transfer of await this.#underWay()) {
      const records = await transfer.matchAll();
      const ranges = rangesOf(records);
      if (!isWanted(ranges)) continue;
      // The ranges are in doubt before their fetch is ended: if this worker dies here, the next one looks
      // them up.
      await this.#host.rangesInDoubt(ranges, RELEASED_WITHIN_MS);
      await this.#ended.add([endedEntry(idOf(transfer.id))]);
      this.#forget(transfer.id);
      await this.#stopRelay(transfer.id, records, ending);
      await this.#host.rangesInDoubt(ranges, 0);
      // Requests that are on their way at this moment still arrive.
      for (const record of records) void this.#acceptAnswer(record);
    }
  }

  /** Nothing is to be sent for this upload any more. Those that are released at one time are released together. */
  release(uploadId: string): Promise<void> {
    this.#toRelease.add(uploadId);
    this.#releasing ??= Promise.resolve().then(async () => {
      const uploadIds = new Set(this.#toRelease);
      this.#toRelease.clear();
      this.#releasing = undefined;
      for (const fetchId of [...this.#uploads.keys()]) await this.#releaseFrom(fetchId, uploadIds);
    });
    return this.#releasing;
  }

  async #releaseFrom(fetchId: string, uploadIds: ReadonlySet<string>): Promise<void> {
    const uploads = this.#uploads.get(fetchId);
    const released = [...(uploads ?? [])].filter((uploadId) => uploadIds.has(uploadId));
    if (!uploads || released.length === 0) return;
    for (const uploadId of released) uploads.delete(uploadId);
    const transfer = await this.#platform.backgroundFetch?.get(fetchId);
    const records = ((await transfer?.matchAll()) ?? []).filter((record) =>
      released.includes(rangeOf(record)?.uploadId ?? ""),
    );
    const ranges = rangesOf(records);
    await this.#host.rangesInDoubt(ranges, RELEASED_WITHIN_MS);
    const isLast = uploads.size === 0;
    const entries = isLast
      ? [endedEntry(idOf(fetchId))]
      : released.map((uploadId) => endedEntry(idOf(fetchId), uploadId));
    await this.#ended.add(entries);
    if (isLast) this.#forget(fetchId);
    this.#host.handedOver(released, false);
    await this.#stopRelay(fetchId, records, "now");
    await this.#host.rangesInDoubt(ranges, 0);
  }

  /**
   * The browser has ended this fetch, well or not. What it has not sent is in doubt.
   *
   * Returns ids of the uploads that it carried.
   */
  async finished(transfer: BackgroundFetchRegistration): Promise<readonly string[]> {
    if (!isOurs(transfer.id)) return [];
    const records = await transfer.matchAll();
    const ranges = rangesOf(records);
    await this.#host.rangesInDoubt(ranges, 0);
    await Promise.all(records.map((record) => this.#acceptAnswer(record)));
    this.#forget(transfer.id);
    return [...new Set(ranges.map(({ uploadId }) => uploadId))];
  }

  /** Returns ids of the uploads whose transfer the user has stopped in the browser's list. */
  async stoppedByUser(transfer: BackgroundFetchRegistration): Promise<readonly string[]> {
    return (await this.#ended.includes(endedEntry(idOf(transfer.id)))) ? [] : this.finished(transfer);
  }

  async #follow(transfer: BackgroundFetchRegistration): Promise<void> {
    const uploads = new Set<string>();
    // The fetch is noted before the first `await`, so that nobody else follows it, and whoever ends it finds
    // it here.
    this.#uploads.set(transfer.id, uploads);
    const records = await transfer.matchAll().catch((cause: unknown) => {
      this.#uploads.delete(transfer.id);
      throw cause;
    });
    if (this.#uploads.get(transfer.id) !== uploads) return;
    const ended = await this.#ended.all();
    if (this.#uploads.get(transfer.id) !== uploads) return;
    for (const { uploadId } of rangesOf(records))
      if (!ended.includes(endedEntry(idOf(transfer.id), uploadId))) uploads.add(uploadId);
    this.#host.handedOver([...uploads], true);
    // Its user may have paused or canceled one before the fetch could be seen, or the worker may have died over it.
    // Where that fails, the next engine follows the fetch anew.
    for (const uploadId of [...uploads])
      if (this.#host.isResting(uploadId)) this.release(uploadId).catch(() => {});
    const unanswered = new Set(asStarted(records));
    const answered = async (record: BackgroundFetchRecord) => {
      const isStored = await this.#acceptAnswer(record);
      const isFirst = [...unanswered].slice(0, AT_ONCE).includes(record);
      unanswered.delete(record);
      if (this.#uploads.get(transfer.id) !== uploads) return;
      if (isStored) this.#host.browserProgresses();
      else if (rangeOf(record)) await this.#host.rangesInDoubt(rangesOf([record]), 0);
      if (isFirst) await this.#leaveNext(unanswered);
    };
    // Where the database can't note the doubt, it stays in memory; a new engine doubts whatever the browser has.
    for (const record of records) answered(record).catch(() => {});
    await this.#leaveNext(unanswered);
  }

  /** Has the worker leave alone what the browser sends at this moment, as long as it may take: it would be sent twice. */
  #leaveNext(unanswered: ReadonlySet<BackgroundFetchRecord>): Promise<void> {
    return this.#host.rangesInDoubt(rangesOf([...unanswered].slice(0, AT_ONCE)), CARRIED_WITHIN_MS);
  }

  /** Returns whether the range was stored whole. */
  async #acceptAnswer(record: BackgroundFetchRecord): Promise<boolean> {
    const range = rangeOf(record);
    const token = record.request.headers.get(RELAY_TOKEN_HEADER);
    if (!range || !token) return false;
    try {
      // Chromium gives no body of a response with a bad status, so the parts of such a range stay in doubt.
      const response = await record.responseReady;
      const answer = v.safeParse(relayAnswer, await response.clone().json());
      if (!answer.success) return false;
      const { parts } = answer.output;
      await this.#host.partsArrived(range.uploadId, token, parts);
      return response.ok && parts.length === range.count;
    } catch {
      // There was no answer, or none of the relay's: the parts stay in doubt.
      return false;
    }
  }

  /**
   * Has the relay stop what it is sending of these requests: by the cookie alone it would learn of it with the next one. Where it
   * does not hear of it, it stops with the range.
   */
  async #stopRelay(
    fetchId: string,
    records: readonly BackgroundFetchRecord[],
    ending: Ending,
  ): Promise<void> {
    const [any] = records;
    if (!any) return;
    const tokens = [
      ...new Set(records.flatMap(({ request }) => request.headers.get(RELAY_TOKEN_HEADER) ?? [])),
    ];
    const headers = Object.fromEntries(any.request.headers);
    delete headers[RELAY_TOKEN_HEADER];
    for (let at = 0; at < tokens.length; at += MAX_RELEASED) {
      const body: ReleaseRequest = {
        tokens: tokens.slice(at, at + MAX_RELEASED),
        fetches: [idOf(fetchId)],
        ending,
      };
      await postJson(this.#platform, new URL("release", any.request.url), body, {
        headers,
        credentials: "same-origin",
        timeoutMs: RELEASED_WITHIN_MS,
      }).catch(() => {});
    }
  }

  #forget(fetchId: string): void {
    const uploads = this.#uploads.get(fetchId);
    this.#uploads.delete(fetchId);
    if (uploads) this.#host.handedOver([...uploads], false);
  }

  async #underWay(): Promise<BackgroundFetchRegistration[]> {
    const { backgroundFetch } = this.#platform;
    if (!backgroundFetch) return [];
    const transfers: BackgroundFetchRegistration[] = [];
    const ended = await this.#ended.all();
    for (const id of await backgroundFetch.getIds()) {
      const transfer =
        isOurs(id) && !ended.includes(endedEntry(idOf(id))) ? await backgroundFetch.get(id) : undefined;
      if (transfer) transfers.push(transfer);
    }
    return transfers;
  }

  async #appears(fetchId: string): Promise<void> {
    const { backgroundFetch, clock } = this.#platform;
    for (let waited = 0; waited < APPEARS_WITHIN_MS; waited += LOOK_EVERY_MS) {
      if (await backgroundFetch?.get(fetchId)) return;
      await sleep(clock, LOOK_EVERY_MS);
    }
  }
}

type Ending = ReleaseRequest["ending"];

function isOurs(fetchId: string): boolean {
  return fetchId.startsWith(FETCH_PREFIX);
}

function idOf(fetchId: string): string {
  return fetchId.slice(FETCH_PREFIX.length);
}

function rangeOf({ request }: BackgroundFetchRecord): PartRange | undefined {
  const query = v.safeParse(relayQuery, Object.fromEntries(new URL(request.url).searchParams));
  return query.success ? query.output : undefined;
}

/** In the order in which Chromium starts them. */
function asStarted(records: readonly BackgroundFetchRecord[]): BackgroundFetchRecord[] {
  const places = records.map((_, index) => String(index)).sort();
  return places.flatMap((place) => records[Number(place)] ?? []);
}

function rangesOf(records: readonly BackgroundFetchRecord[]): PartRange[] {
  return records.flatMap((record) => rangeOf(record) ?? []);
}
