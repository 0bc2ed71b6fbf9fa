import * as v from "valibot";
import { relayAnswer, relayQuery } from "../../src/core/http-api.ts";
import type { PartRange } from "../../src/core/part-ranges.ts";
import { RELAY_ENDED_COOKIE, RELAY_TOKEN_HEADER } from "../../src/core/relay-url.ts";
import type { PartReceipt } from "../../src/core/storage.ts";
import { FETCH_PREFIX } from "../../src/protocol/protocol.ts";
import { type Platform, sleep } from "../platform/index.ts";

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
  /** Parts of these ranges may have been stored, or be stored at this moment. */
  rangesInDoubt(ranges: readonly PartRange[]): Promise<void>;
  /** The browser has brought a range to its end, and so will probably bring the others. */
  browserProgresses(): void;
}

/** A Background Fetch shows up in the worker only once the browser has copied the descriptions of its bodies. */
const APPEARS_WITHIN_MS = 10_000;
const LOOK_EVERY_MS = 200;
/** An ended fetch fails within seconds; what was begun in one browser session may wait for the next. */
const ENDED_FOR_MS = 7 * 24 * 3_600_000;
const MOST_ENDED = 16;

/**
 * The browser's own transfers (Background Fetch). Only a window can start one; here they are followed and ended, and their
 * outcome is taken in. What they carry stands in their requests, so that a worker that knows nothing can go on.
 */
export class BackgroundFetches {
  readonly #platform: Pick<Platform, "backgroundFetch" | "cookies" | "clock">;
  readonly #host: BackgroundFetchHost;
  /** Ids of the uploads in each fetch that is under way. */
  readonly #uploads = new Map<string, Set<string>>();
  #ending: Promise<void> = Promise.resolve();

  constructor(platform: Pick<Platform, "backgroundFetch" | "cookies" | "clock">, host: BackgroundFetchHost) {
    this.#platform = platform;
    this.#host = host;
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
    );
  }

  /** Ends every fetch that carries uploads of somebody who is not signed in any more. */
  takeBackForeign(): Promise<void> {
    return this.#takeBack((ranges) => ranges.some(({ uploadId }) => this.#host.isForeign(uploadId)));
  }

  async #takeBack(isWanted: (ranges: readonly PartRange[]) => boolean): Promise<void> {
    for (const transfer of await this.#underWay()) {
      const records = await transfer.matchAll();
      const ranges = records.flatMap((record) => rangeOf(record) ?? []);
      if (!isWanted(ranges)) continue;
      // The ranges are in doubt before their fetch is ended: if this worker dies here, the next one looks
      // them up.
      await this.#host.rangesInDoubt(ranges);
      await this.#end(transfer.id);
      // Requests that are on their way at this moment still arrive.
      for (const record of records) void this.#acceptAnswer(record);
    }
  }

  /** Nothing is to be sent for this upload any more. */
  async release(uploadId: string): Promise<void> {
    for (const [fetchId, uploads] of this.#uploads) {
      if (!uploads.delete(uploadId) || uploads.size > 0) continue;
      await this.#end(fetchId);
    }
  }

  /** The browser has ended this fetch, well or not. What it has not sent is in doubt. */
  async finished(transfer: BackgroundFetchRegistration): Promise<void> {
    if (!isOurs(transfer.id)) return;
    const records = await transfer.matchAll();
    await this.#host.rangesInDoubt(records.flatMap((record) => rangeOf(record) ?? []));
    await Promise.all(records.map((record) => this.#acceptAnswer(record)));
    this.#forget(transfer.id);
  }

  /** Returns ids of the uploads whose transfer the user has stopped in the browser's list. */
  async stoppedByUser(transfer: BackgroundFetchRegistration): Promise<readonly string[]> {
    if (!isOurs(transfer.id) || (await this.#endedIds()).includes(idOf(transfer.id))) return [];
    await this.finished(transfer);
    return [...new Set((await transfer.matchAll()).flatMap((record) => rangeOf(record)?.uploadId ?? []))];
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
    for (const { uploadId } of records.flatMap((record) => rangeOf(record) ?? [])) uploads.add(uploadId);
    this.#host.handedOver([...uploads], true);
    for (const record of records)
      void this.#acceptAnswer(record).then((isStored) => {
        if (isStored && this.#uploads.has(transfer.id)) this.#host.browserProgresses();
      });
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
      await this.#host.partsArrived(range.uploadId, token, answer.output.parts);
      return response.ok;
    } catch {
      // There was no answer, or none of the relay's: the parts stay in doubt.
      return false;
    }
  }

  /** Lets the relay refuse this fetch's ranges from now on, so that it fails soon. */
  #end(fetchId: string): Promise<void> {
    // One after another: the cookie is read and then written, and two at once would lose one's id.
    this.#ending = this.#ending.catch(() => {}).then(() => this.#noteEnded(fetchId));
    return this.#ending;
  }

  async #noteEnded(fetchId: string): Promise<void> {
    const { cookies, clock } = this.#platform;
    const ended = [...(await this.#endedIds()), idOf(fetchId)].slice(-MOST_ENDED);
    await cookies.set(RELAY_ENDED_COOKIE, ended.join("."), clock.now() + ENDED_FOR_MS);
    this.#forget(fetchId);
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
    const ended = await this.#endedIds();
    for (const id of await backgroundFetch.getIds()) {
      const transfer = isOurs(id) && !ended.includes(idOf(id)) ? await backgroundFetch.get(id) : undefined;
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

  async #endedIds(): Promise<readonly string[]> {
    const value = await this.#platform.cookies.get(RELAY_ENDED_COOKIE);
    return value ? value.split(".") : [];
  }
}

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
