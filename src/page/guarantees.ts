import { S3_LIMITS } from "../core/limits.ts";
import type { UploadSnapshot } from "../core/snapshot.ts";
import type { RelayReach } from "./probe-relay.ts";

/**
 * How far an upload gets without a page, from most to least:
 *
 * - `continues`: the upload goes on to its end, however long it takes.
 * - `resumes`: the browser starts the upload again once the browser runs and the network is there, for up to 3 min at a time;
 *   the rest is sent at the next visit.
 * - `limited`: the upload goes on for up to 5 min in Chromium, about 1 min in Firefox, and seconds in Safari; the rest is sent
 *   at the next visit.
 * - `nextVisit`: the upload goes on at the next visit.
 * - `lost`: the file is in memory only (`durability`), so the upload waits for its user to give it again (`attach`).
 */
export type Survival = "continues" | "resumes" | "limited" | "nextVisit" | "lost";

/** What an upload survives in this browser, with this app's set-up. */
export interface Guarantees {
  /** The user closes the app's last tab, or leaves the app, while the browser goes on running. */
  readonly tabClosed: Survival;
  /**
   * The user closes the whole browser at once. An upload that was handed over before, as its tab was closed, is sent to its
   * end.
   */
  readonly browserClosed: Survival;
  /** The browser crashes or is killed, or the device loses power. */
  readonly crash: Survival;
}

export interface Means {
  /** Background Fetch, and a relay to send to, as far as is known. */
  readonly canHandOver: boolean;
  /** Background Sync. */
  readonly canSync: boolean;
}

/** One upload, as far as its guarantees depend on it. */
export interface UploadFate extends Pick<UploadSnapshot, "state" | "lane" | "durability"> {
  /** Whether this page would hand it over as it closes; undefined if another page does that. */
  readonly isCandidate: boolean | undefined;
}

/** Whether bodies as large as the smallest part come through to the relay. What has not been found out counts as yes. */
export function isReachable(reach: RelayReach): boolean {
  if (reach.is !== "there") return reach.is === "unknown";
  return reach.maxBytes === null || reach.maxBytes >= S3_LIMITS.minPartBytes;
}

/** For one upload: what is true of most need not be true of this one. */
export function guaranteesFor(
  { state, lane, durability, isCandidate }: UploadFate,
  { canHandOver, canSync }: Means,
): Guarantees {
  if (lane === "browser") return { tabClosed: "continues", browserClosed: "continues", crash: "continues" };
  if (state === "paused") return { tabClosed: "nextVisit", browserClosed: "nextVisit", crash: "nextVisit" };
  // Only what has begun at S3 is handed over.
  const isHandedOver = isCandidate ?? (state === "uploading" || state === "completing");
  const general = guaranteesOf({ canHandOver: canHandOver && isHandedOver, canSync });
  if (durability !== "memory") return general;
  const { tabClosed } = general;
  return { tabClosed: tabClosed === "continues" ? tabClosed : "lost", browserClosed: "lost", crash: "lost" };
}

export function guaranteesOf({ canHandOver, canSync }: Means): Guarantees {
  const later = canSync ? "resumes" : "nextVisit";
  return {
    tabClosed: canHandOver ? "continues" : "limited",
    // Neither leaves time for a hand-over: as Chromium quits, requests that `pagehide` makes are lost.
    browserClosed: later,
    crash: later,
  };
}
