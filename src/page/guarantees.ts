/**
 * How far an upload gets without a page, from most to least:
 *
 * - `continues`: the upload goes on to its end, however long it takes.
 * - `resumes`: the browser starts the upload again once the browser runs and the network is there, for up to 3 min at a time;
 *   the rest is sent at the next visit.
 * - `limited`: the upload goes on for up to 5 min in Chromium, about 1 min in Firefox, and seconds in Safari; the rest is sent
 *   at the next visit.
 * - `nextVisit`: the upload goes on at the next visit.
 */
export type Survival = "continues" | "resumes" | "limited" | "nextVisit";

/** What an upload with `durability: "stored"` survives in this browser, with this app's set-up. */
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
  /** Background Fetch, and a relay to send to. */
  readonly canHandOver: boolean;
  /** Background Sync. */
  readonly canSync: boolean;
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
