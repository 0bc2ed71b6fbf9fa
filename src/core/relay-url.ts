import type { PartRange } from "./part-ranges.ts";

/**
 * How the browser's own transfers reach the relay. Apart from `http-api.ts`, whose schemas pages have no use for.
 */

/** Header of a relayed run: the upload's token. No form, and no page of another origin without CORS, can send it. */
export const RELAY_TOKEN_HEADER = "x-backhaul-token";

/**
 * Cookie with the ids of Background Fetches whose runs are to be refused, joined by ".". It is how one is ended: aborting
 * a fetch that is sending crashes Chromium 156.
 */
export const RELAY_ENDED_COOKIE = "backhaul-ended";

/**
 * Where a run is `PUT`: its body are the bytes of `count` neighbouring parts, the number of the first being `first`.
 *
 * @param fetchId UUID of the Background Fetch that it is part of
 */
export function relayUrl(base: string, { uploadId, first, count }: PartRange, fetchId: string): string {
  const query = `upload=${encodeURIComponent(uploadId)}&first=${first}&count=${count}&fetch=${encodeURIComponent(fetchId)}`;
  return `${base.replace(/\/$/, "")}/relay?${query}`;
}

/** Whether a `Cookie` header says that this fetch was ended. */
export function isEnded(cookies: string | null, fetchId: string): boolean {
  const prefix = `${RELAY_ENDED_COOKIE}=`;
  const cookie = cookies?.split("; ").find((each) => each.startsWith(prefix));
  return cookie?.slice(prefix.length).split(".").includes(fetchId) ?? false;
}
