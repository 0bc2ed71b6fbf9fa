/**
 * What becomes of an upload, from most to least:
 *
 * - `continues`: it goes on to its end by itself, with no page, however long it takes.
 * - `resumes`: the browser starts it again by itself once it runs and the network is there, for up to 3 min at a time; what
 *   is left goes on at the next visit.
 * - `limited`: it goes on for some minutes (up to 5 in Chromium, about 1 in Firefox, seconds in Safari); what is left goes
 *   on at the next visit.
 * - `nextVisit`: it goes on at the next visit.
 */
export type Survival = "continues" | "resumes" | "limited" | "nextVisit";

/** What an upload whose bytes are kept (`durability: "stored"`) can count on in this browser, with this app's set-up. */
export interface Guarantees {
  readonly tabClosed: Survival;
  /** Closed by its user, all windows at once. What was left to the browser before, by closing the tab, goes on to its end. */
  readonly browserClosed: Survival;
  /** Killed, or the device went dark. */
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
    // In both there is no time to hand anything over: as Chromium quits, what `pagehide` asks for is lost.
    browserClosed: later,
    crash: later,
  };
}
