import type { PartRange } from "./part-ranges.ts";

/**
 * How the browser's own transfers reach the relay. Apart from `http-api.ts`, whose schemas pages have no use for.
 */

/** Header of a relayed run: the upload's token. No form, and no page of another origin without CORS, can send it. */
export const RELAY_TOKEN_HEADER = "x-backhaul-token";

/**
 * Cookie with the Background Fetches, or single uploads' shares in them, whose part ranges are to be refused (`endedEntry`),
 * joined by ".". It is how one is ended: aborting a fetch that is sending crashes Chromium 156.
 */
export const RELAY_ENDED_COOKIE = "backhaul-ended";

/**
 * That cookie's name for the worker of this scope: each of several apps at an origin writes its own, since one list would lose
 * what two write at once, and what the other's many ids push out.
 *
 * @param scope URL below which pages are the worker's
 */
export function relayEndedCookie(scope: string): string {
  const path = scope.replace(/^[a-z]+:\/\/[^/]*\//, "");
  return path === "" ? RELAY_ENDED_COOKIE : `${RELAY_ENDED_COOKIE}-${encodeURIComponent(path)}`;
}

/**
 * Where a run is `PUT`: its body are the bytes of `count` neighbouring parts, the number of the first being `first`.
 *
 * @param fetchId UUID of the Background Fetch that it is part of
 */
export function relayUrl(base: string, { uploadId, first, count }: PartRange, fetchId: string): string {
  const query = `upload=${encodeURIComponent(uploadId)}&first=${first}&count=${count}&fetch=${encodeURIComponent(fetchId)}`;
  return `${base.replace(/\/$/, "")}/relay?${query}`;
}

/**
 * The entry of an ended Background Fetch in its cookie, or of one upload's share in it. Cookies have little room, so ids are
 * shortened; those that a browser has at a time differ in so much.
 */
export function endedEntry(fetchId: string, uploadId?: string): string {
  const entry = fetchId.slice(0, SHORT_ID);
  return uploadId === undefined ? entry : `${entry}~${uploadId.slice(0, SHORT_ID)}`;
}

const SHORT_ID = 12;

/** Whether a `Cookie` header says that this upload's share in this fetch was ended, by whichever worker. */
export function isEnded(cookies: string | null, fetchId: string, uploadId: string): boolean {
  return (cookies ?? "").split("; ").some((cookie) => {
    const [name = "", entries = ""] = cookie.split("=", 2);
    const isOurs = name === RELAY_ENDED_COOKIE || name.startsWith(`${RELAY_ENDED_COOKIE}-`);
    const ended = entries.split(".");
    return isOurs && (ended.includes(endedEntry(fetchId)) || ended.includes(endedEntry(fetchId, uploadId)));
  });
}
