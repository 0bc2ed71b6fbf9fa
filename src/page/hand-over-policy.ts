import type { PageEventType } from "./platform.ts";

/**
 * When a page hands its uploads over to the browser, if it is the last one of the app:
 *
 * - `hidden`: as soon as it can't be seen, and they come back when it can. On phones that is the last moment that is sure to
 *   come: an app that is swiped away is told nothing more. The browser shows a notification meanwhile.
 * - `closed`: only as it closes, or is left for another page.
 * - `auto`: as `hidden` on phones and tablets; elsewhere as it closes, or as the browser freezes it to save energy.
 */
export type HandOverPolicy = "auto" | "hidden" | "closed";

/** The events besides `pagehide` by which uploads are handed over, and those by which they come back. */
export interface HandOverMoments {
  readonly leave: readonly PageEventType[];
  readonly comeBack: readonly PageEventType[];
}

/** @param isMobile whether the browser runs on a phone or a tablet */
export function handOverMoments(policy: HandOverPolicy, isMobile: boolean): HandOverMoments {
  if (policy === "closed") return { leave: [], comeBack: [] };
  // A page that is frozen and thawed in the background is still hidden.
  if (policy === "hidden" || isMobile) return { leave: ["hidden", "freeze"], comeBack: ["visible"] };
  return { leave: ["freeze"], comeBack: ["visible", "resume"] };
}
