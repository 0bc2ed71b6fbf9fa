import { handOverLock, type ScopedName } from "../../src/protocol/protocol.ts";
import { BackgroundFetches } from "../background-fetch/background-fetches.ts";
import type { Lifecycle } from "../pages/lifecycle.ts";
import type { Engine } from "./engine.ts";

declare const self: ServiceWorkerGlobalScope;

/** Of the time left, what is counted on: links get slower, and completing takes its time. */
const USABLE_SHARE = 0.8;

/**
 * With no page left, worker and browser send towards each other. If the worker can bring everything to its end before it
 * is killed, it goes on; else it stops as soon as the browser moves, so that little is sent twice.
 */
export async function openBrowserLane(
  { roster, supervisor, lent: uploads }: Engine,
  lifecycle: Lifecycle,
  name: ScopedName,
): Promise<BackgroundFetches> {
  const lane = new BackgroundFetches(self.registration.backgroundFetch, {
    lent(ids, isLent) {
      uploads.setLane(ids, isLent ? "browser" : "worker");
      if (!lane.isLent) supervisor.yields = false;
    },
    confirmed: (id, token, parts) => uploads.confirmParts(id, token, parts),
    wishesBrowser: (id) => uploads.wishesBrowser(id),
    isForeign: (id) => uploads.isForeign(id),
    doubted: (runs) => uploads.doubtRuns(runs),
    moved: () => void leaveTheRest(),
  });
  roster.onEnded = (id) => void lane.release(id);

  async function leaveTheRest(): Promise<void> {
    const { secondsLeft } = supervisor;
    const canFinish = secondsLeft !== undefined && secondsLeft * 1_000 < lifecycle.msLeft * USABLE_SHARE;
    if (!canFinish && !(await hasKeeper(name))) supervisor.yields = lane.isLent;
  }

  await lane.follow();
  return lane;
}

/**
 * Whether a page of the app is there, which takes back what another one has left to the browser.
 *
 * @param leaving id of a page that goes, and may not have given back its lock yet
 */
export async function hasKeeper(name: ScopedName, leaving?: string): Promise<boolean> {
  const { held = [] } = await navigator.locks.query();
  return held.some((lock) => lock.name === handOverLock(name) && lock.clientId !== leaving);
}

export async function hasPages(): Promise<boolean> {
  return (await self.clients.matchAll({ type: "window", includeUncontrolled: true })).length > 0;
}
