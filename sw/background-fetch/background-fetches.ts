import * as v from "valibot";
import { relayAnswer, relayQuery } from "../../src/core/http-api.ts";
import type { PartRange } from "../../src/core/part-ranges.ts";
import { RELAY_ENDED_COOKIE, RELAY_TOKEN_HEADER } from "../../src/core/relay-url.ts";
import type { PartReceipt } from "../../src/core/storage.ts";
import { FETCH_PREFIX } from "../../src/protocol/protocol.ts";
import { never, now, sleep } from "../platform/clock.ts";

declare const self: ServiceWorkerGlobalScope;

/** What the lane tells the engine. */
export interface BackgroundFetchHost {
  /** These uploads are with the browser now, or back. */
  lent(uploadIds: readonly string[], isLent: boolean): void;
  /** The relay has stored parts. */
  confirmed(uploadId: string, token: string, parts: readonly PartReceipt[]): Promise<void>;
  /** The app wants the browser to have this upload, with or without a page. */
  wishesBrowser(uploadId: string): boolean;
  /** It belongs to somebody who is not signed in now, and so must not move. */
  isForeign(uploadId: string): boolean;
  /** Parts of these runs may have been stored, or be stored at this moment. */
  doubted(runs: readonly PartRange[]): Promise<void>;
  /** The browser has brought a run to its end, and so will probably bring the others. */
  moved(): void;
}

/** A fetch shows up in the worker only once the browser has taken over its bodies' descriptions. */
const APPEARS_WITHIN_MS = 10_000;
const LOOK_EVERY_MS = 200;
/** An ended fetch fails within seconds; what was begun in one browser session may wait for the next. */
const ENDED_FOR_MS = 7 * 24 * 3_600_000;
const MOST_ENDED = 16;

/**
 * The browser's own transfers (Background Fetch). Only a window can start one; here they are followed, ended, and their
 * outcome is taken in. What they carry stands in their requests, so that a worker that knows nothing can go on.
 */
export class BackgroundFetches {
  readonly #manager: BackgroundFetchManager | undefined;
  readonly #host: BackgroundFetchHost;
  /** Uploads in each fetch that is under way. */
  readonly #uploads = new Map<string, Set<string>>();

  constructor(manager: BackgroundFetchManager | undefined, host: BackgroundFetchHost) {
    this.#manager = manager;
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

  get isLent(): boolean {
    return this.#uploads.size > 0;
  }

  /** Ends every fetch but those that the app wished for; what they have sent counts. */
  takeBack(): Promise<void> {
    return this.#takeBack(
      (runs) => runs.length === 0 || !runs.every(({ uploadId }) => this.#host.wishesBrowser(uploadId)),
    );
  }

  /** Ends every fetch that carries uploads of somebody who is not signed in any more. */
  takeBackForeign(): Promise<void> {
    return this.#takeBack((runs) => runs.some(({ uploadId }) => this.#host.isForeign(uploadId)));
  }

  async #takeBack(isWanted: (runs: readonly PartRange[]) => boolean): Promise<void> {
    for (const transfer of await this.#underWay()) {
      const records = await transfer.matchAll();
      const runs = records.flatMap((record) => runOf(record) ?? []);
      if (!isWanted(runs)) continue;
      // Before the end: should this worker die here, the next one looks them up.
      await this.#host.doubted(runs);
      await this.#end(transfer.id);
      // What is on its way at this moment still arrives.
      for (const record of records) void this.#takeAnswer(record);
    }
  }

  /** Nothing is to be sent for this upload any more. */
  async release(uploadId: string): Promise<void> {
    for (const [fetchId, uploads] of this.#uploads) {
      if (!uploads.delete(uploadId) || uploads.size > 0) continue;
      await this.#end(fetchId);
    }
  }

  /** The browser is through with it, well or not. What it has not sent is in doubt. */
  async finished(transfer: BackgroundFetchRegistration): Promise<void> {
    if (!isOurs(transfer.id)) return;
    const records = await transfer.matchAll();
    await this.#host.doubted(records.flatMap((record) => runOf(record) ?? []));
    await Promise.all(records.map((record) => this.#takeAnswer(record)));
    this.#forget(transfer.id);
  }

  /** Returns the uploads that the user has stopped in the browser's list. */
  async aborted(transfer: BackgroundFetchRegistration): Promise<readonly string[]> {
    if (!isOurs(transfer.id) || (await endedIds()).includes(idOf(transfer.id))) return [];
    await this.finished(transfer);
    return [...new Set((await transfer.matchAll()).flatMap((record) => runOf(record)?.uploadId ?? []))];
  }

  async #follow(transfer: BackgroundFetchRegistration): Promise<void> {
    const records = await transfer.matchAll();
    const uploads = new Set(records.flatMap((record) => runOf(record)?.uploadId ?? []));
    this.#uploads.set(transfer.id, uploads);
    this.#host.lent([...uploads], true);
    for (const record of records)
      void this.#takeAnswer(record).then((isStored) => {
        if (isStored && this.#uploads.has(transfer.id)) this.#host.moved();
      });
  }

  async #takeAnswer(record: BackgroundFetchRecord): Promise<boolean> {
    const run = runOf(record);
    const token = record.request.headers.get(RELAY_TOKEN_HEADER);
    if (!run || !token) return false;
    try {
      // Of a bad status Chromium gives no body: what is stored of such a run stays in doubt.
      const response = await record.responseReady;
      const answer = v.safeParse(relayAnswer, await response.clone().json());
      if (!answer.success) return false;
      await this.#host.confirmed(run.uploadId, token, answer.output.parts);
      return response.ok;
    } catch {
      // No answer, or none of the relay's: the parts stay in doubt.
      return false;
    }
  }

  /** The relay refuses its runs from now on, and so it fails soon. */
  async #end(fetchId: string): Promise<void> {
    const ended = [...(await endedIds()), idOf(fetchId)].slice(-MOST_ENDED);
    await self.cookieStore.set({
      name: RELAY_ENDED_COOKIE,
      value: ended.join("."),
      path: "/",
      sameSite: "strict",
      expires: now() + ENDED_FOR_MS,
    });
    this.#forget(fetchId);
  }

  #forget(fetchId: string): void {
    const uploads = this.#uploads.get(fetchId);
    this.#uploads.delete(fetchId);
    if (uploads) this.#host.lent([...uploads], false);
  }

  async #underWay(): Promise<BackgroundFetchRegistration[]> {
    if (!this.#manager) return [];
    const transfers: BackgroundFetchRegistration[] = [];
    const ended = await endedIds();
    for (const id of await this.#manager.getIds()) {
      const transfer = isOurs(id) && !ended.includes(idOf(id)) ? await this.#manager.get(id) : undefined;
      if (transfer) transfers.push(transfer);
    }
    return transfers;
  }

  async #appears(fetchId: string): Promise<void> {
    for (let waited = 0; waited < APPEARS_WITHIN_MS; waited += LOOK_EVERY_MS) {
      if (await this.#manager?.get(fetchId)) return;
      await sleep(LOOK_EVERY_MS, never);
    }
  }
}

function isOurs(fetchId: string): boolean {
  return fetchId.startsWith(FETCH_PREFIX);
}

function idOf(fetchId: string): string {
  return fetchId.slice(FETCH_PREFIX.length);
}

async function endedIds(): Promise<readonly string[]> {
  const cookie = await self.cookieStore.get(RELAY_ENDED_COOKIE);
  return cookie?.value ? cookie.value.split(".") : [];
}

function runOf({ request }: BackgroundFetchRecord): PartRange | undefined {
  const query = v.safeParse(relayQuery, Object.fromEntries(new URL(request.url).searchParams));
  return query.success ? query.output : undefined;
}
