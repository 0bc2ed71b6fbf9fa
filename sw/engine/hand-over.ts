import { handOverLock, type ScopedName } from "../../src/protocol/protocol.ts";
import { BackgroundFetches } from "../background-fetch/index.ts";
import type { Lifecycle } from "../pages/index.ts";
import type { Platform } from "../platform/index.ts";
import type { HandedOverUploads } from "./handed-over-uploads.ts";
import type { Roster } from "./roster.ts";
import type { Supervisor } from "./supervisor.ts";

/**
 * The share of the remaining time that is counted on, since links get slower and completing takes time too.
 */
const USABLE_SHARE = 0.8;

export interface HandOverOptions {
  readonly platform: Pick<Platform, "backgroundFetch" | "cookies" | "clock" | "fetch" | "locks" | "worker">;
  readonly roster: Roster;
  readonly supervisor: Supervisor;
  readonly uploads: HandedOverUploads;
  readonly lifecycle: Lifecycle;
  readonly name: ScopedName;
}

/**
 * Follows the browser's own transfers. With no page left, worker and browser send towards each other: if the worker can bring
 * everything to its end before it is killed, it goes on; else it stops as soon as the browser moves, so that little is sent
 * twice.
 */
export function createBackgroundFetches(options: HandOverOptions): BackgroundFetches {
  const { platform, roster, supervisor, uploads, lifecycle, name } = options;
  const fetches = new BackgroundFetches(platform, {
    handedOver(ids, isHandedOver) {
      uploads.setLane(ids, isHandedOver ? "browser" : "worker");
      if (!fetches.areUnderWay) supervisor.leavesRestToBrowser = false;
    },
    partsArrived: (id, token, parts) => uploads.partsArrived(id, token, parts),
    prefersBrowser: (id) => uploads.prefersBrowser(id),
    isForeign: (id) => uploads.isForeign(id),
    isResting: (id) => uploads.isResting(id),
    rangesInDoubt: (ranges, inMs) => uploads.rangesInDoubt(ranges, inMs),
    browserProgresses: () => void leaveRest().catch(() => {}),
  });
  roster.on("ended", (id) => void fetches.release(id).catch(() => {}));
  roster.on("paused", (id) => void fetches.release(id).catch(() => {}));

  async function leaveRest(): Promise<void> {
    const { secondsLeft } = supervisor;
    const canFinish = secondsLeft !== undefined && secondsLeft * 1_000 < lifecycle.msLeft * USABLE_SHARE;
    if (!canFinish && !(await isPageHoldingHandOver(platform, name)))
      supervisor.leavesRestToBrowser = fetches.areUnderWay;
  }

  return fetches;
}

/**
 * Whether a page of the app is there, which takes back what another one has handed over.
 *
 * @param leaving id of a page that goes, and may not have given back its lock yet
 */
export async function isPageHoldingHandOver(
  { locks }: Pick<Platform, "locks">,
  name: ScopedName,
  leaving?: string,
): Promise<boolean> {
  return (await locks.holders(handOverLock(name))).some((clientId) => clientId !== leaving);
}
