import type { Random } from "./world/random.ts";

/** One thing that happens from outside, at a moment of the history, in milliseconds since its begin. */
export type Happening = { readonly at: number } & (
  | { readonly type: "openTab" }
  /** Numbers of tabs count those that are open at the moment, modulo. */
  | { readonly type: "closeTab"; readonly tab: number }
  | { readonly type: "crashTab"; readonly tab: number }
  | { readonly type: "reloadTab"; readonly tab: number }
  | { readonly type: "freezeTab"; readonly tab: number; readonly forMs: number }
  | {
      readonly type: "add";
      readonly tab: number;
      readonly sizes: readonly number[];
      readonly lane: "auto" | "worker" | "browser";
      /** Most parts that a file is cut into. @default 12 */
      readonly parts?: number;
      /** Hours of the day by the simulated clock; null for always. */
      readonly hours: { readonly from: number; readonly to: number } | null;
    }
  | { readonly type: "pause" | "resume" | "cancel" | "retry" | "remove"; readonly upload: number }
  | { readonly type: "pauseAll" | "resumeAll" }
  | { readonly type: "killWorker" }
  | { readonly type: "updateWorker" }
  | { readonly type: "killBrowser"; readonly forMs: number }
  | { readonly type: "cutNetwork"; readonly forMs: number }
  /** `navigator.onLine` says false although the network is there. */
  | { readonly type: "onLineLies"; readonly forMs: number }
  | {
      readonly type: "origin";
      readonly origin: "server" | "s3";
      readonly mode:
        | "503"
        | "503RetryAfter"
        | "500"
        | "429"
        | "hangs"
        | "unreachable"
        | "losesAnswers"
        | "flaky"
        | "page403"
        | "page404"
        | "page200"
        | "backendFails"
        | "gateway";
      readonly forMs: number;
    }
  | { readonly type: "slowLink"; readonly bytesPerMs: number; readonly forMs: number }
  /** The session of whoever is signed in is over; the app's pages sign in again after so long. */
  | { readonly type: "endSession"; readonly forMs: number }
  | { readonly type: "switchUser"; readonly forMs: number }
  | { readonly type: "moveClock"; readonly byMs: number }
  | {
      readonly type: "diskFault";
      readonly fault: "QUOTA_EXCEEDED" | "DATABASE_UNAVAILABLE";
      readonly forMs: number;
    }
  | { readonly type: "closeDatabase" }
  | { readonly type: "deleteDatabase" }
  /** The next start of the worker finds its database broken once. */
  | { readonly type: "breakStart"; readonly forMs: number }
  | { readonly type: "failBackgroundFetch" }
  /** Pages of another origin are opened in another tab, one after another. */
  | { readonly type: "browse"; readonly everyMs: number; readonly forMs: number }
  /** The kind of network, or the battery, changes. */
  | { readonly type: "changeDevice" }
  /** A row becomes unreadable for this version, as after a roll-back. */
  | { readonly type: "unreadableRow"; readonly upload: number }
  | { readonly type: "changeFile"; readonly upload: number }
);

/** What a history starts with. */
export interface Scenario {
  readonly seed: number;
  readonly auth: "none" | "cookie" | "bearer";
  readonly hasBackgroundFetch: boolean;
  /** How fast one connection is, and the copying of files on disk, in bytes per millisecond. */
  readonly linkBytesPerMs: number;
  readonly diskBytesPerMs: number;
  readonly happenings: readonly Happening[];
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

type Feature = (random: Random, at: number) => Happening[];

/** What may be made to happen. Each history has a few of these, several times. */
const FEATURES: Readonly<Record<string, Feature>> = {
  tabs: (random, at) => [
    random.pick<Happening>([
      { at, type: "openTab" },
      { at, type: "closeTab", tab: random.whole(0, 3) },
      { at, type: "closeTab", tab: 0 },
      { at, type: "crashTab", tab: random.whole(0, 3) },
      { at, type: "reloadTab", tab: random.whole(0, 3) },
      { at, type: "freezeTab", tab: random.whole(0, 3), forMs: random.whole(5, 200) * SECOND },
    ]),
  ],
  commands: (random, at) => [
    random.pick<Happening>([
      { at, type: "pause", upload: random.whole(0, 9) },
      { at, type: "resume", upload: random.whole(0, 9) },
      { at, type: "cancel", upload: random.whole(0, 9) },
      { at, type: "retry", upload: random.whole(0, 9) },
      { at, type: "remove", upload: random.whole(0, 9) },
      { at, type: "pauseAll" },
      { at, type: "resumeAll" },
    ]),
  ],
  deaths: (random, at) => [
    random.pick<Happening>([
      { at, type: "killWorker" },
      { at, type: "killBrowser", forMs: random.whole(1, 300) * SECOND },
      { at, type: "killBrowser", forMs: 5 * SECOND },
      { at, type: "updateWorker" },
    ]),
  ],
  /** The browser dies, and its user opens the app as soon as it is back. */
  restarts: (random, at) => [
    { at, type: "killBrowser", forMs: 5 * SECOND },
    { at: at + 5 * SECOND + random.whole(100, 300), type: "openTab" },
  ],
  /** The browser dies, and finds no network when it is back. */
  underground: (random, at) => [
    { at, type: "killBrowser", forMs: 5 * SECOND },
    { at: at + 5 * SECOND + random.whole(0, 1_000), type: "cutNetwork", forMs: 100 * SECOND },
  ],
  network: (random, at) => [
    random.pick<Happening>([
      { at, type: "cutNetwork", forMs: random.whole(1, 6) },
      { at, type: "cutNetwork", forMs: random.pick([1, 10, 100, 900]) * SECOND },
      { at, type: "onLineLies", forMs: random.pick([60, 4_000]) * SECOND },
      { at, type: "slowLink", bytesPerMs: random.pick([0.3, 1, 10]), forMs: random.whole(10, 300) * SECOND },
    ]),
  ],
  outages: (random, at) => [
    {
      at,
      type: "origin",
      origin: random.pick(["server", "s3"]),
      mode: random.pick([
        "503",
        "503RetryAfter",
        "500",
        "429",
        "hangs",
        "unreachable",
        "losesAnswers",
        "flaky",
        "page403",
        "page404",
        "page200",
        "backendFails",
      ]),
      forMs: random.pick([2, 20, 120, 600, 1_800]) * SECOND,
    },
  ],
  sessions: (random, at) => [{ at, type: "endSession", forMs: random.whole(1, 120) * SECOND }],
  users: (random, at) => [{ at, type: "switchUser", forMs: random.whole(1, 120) * SECOND }],
  clock: (random, at) => [
    { at, type: "moveClock", byMs: random.pick([-24 * 60, -60, -5, 5, 60]) * MINUTE },
    // A fault's wait is where a clock that was moved shows.
    { at: at - 500, type: "origin", origin: random.pick(["server", "s3"]), mode: "503", forMs: 3 * SECOND },
  ],
  disk: (random, at) => [
    random.pick<Happening>([
      { at, type: "diskFault", fault: "QUOTA_EXCEEDED", forMs: random.pick([0.01, 1, 30]) * SECOND },
      { at, type: "diskFault", fault: "DATABASE_UNAVAILABLE", forMs: random.pick([0.01, 1, 30]) * SECOND },
      { at, type: "closeDatabase" },
      { at, type: "deleteDatabase" },
      { at, type: "changeFile", upload: random.whole(0, 9) },
    ]),
    // Without it, the engine that has met the fault has to go on.
    ...(random.chance(0.5) ? [{ at: at + 2 * SECOND, type: "killWorker" } as const] : []),
  ],
  /** Something fails while a worker starts. */
  starts: (random, at) => [
    { at, type: "killWorker" },
    random.pick<Happening>([
      { at, type: "breakStart", forMs: random.pick([0.01, 1, 20]) * SECOND },
      { at, type: "failBackgroundFetch" },
      {
        at: at + random.whole(0, 50),
        type: "diskFault",
        fault: "DATABASE_UNAVAILABLE",
        forMs: random.whole(1, 50),
      },
    ]),
    add(random, at + random.whole(0, 5) * SECOND),
  ],
  /** Tabs are closed while the browser may carry what is left, and opened again in the middle of it. */
  handOver: (random, at) => [
    { ...add(random, at), lane: random.pick(["auto", "browser"]), sizes: [20_000, 60_000] },
    { at: at + random.whole(1, 30) * SECOND, type: "closeTab", tab: 0 },
    { at: at + random.whole(20, 90) * SECOND, type: "openTab" },
  ],
  /** An older version of the app comes back for a while, and can't read all that the newer one has written. */
  rollback: (random, at) => [
    { at, type: "unreadableRow", upload: random.whole(0, 9) },
    { at: at + random.whole(0, 500), type: "killBrowser", forMs: 5 * SECOND },
    { at: at + 6 * SECOND, type: "openTab" },
  ],
  bulk: (random, at) => {
    const hours = random.chance(0.5) ? { from: random.whole(0, 23), to: 24 } : null;
    const sizes = Array.from({ length: random.whole(30, 100) }, () => random.whole(100, 1_900));
    return [{ at, type: "add", tab: 0, sizes, lane: "worker", hours }];
  },
};

/** Longest time in which things happen; after it the weather is fair. */
const SPAN = 10 * MINUTE;

/** Makes a history of dice. */
export function scenarioOf(seed: number, random: Random): Scenario {
  const names = Object.keys(FEATURES);
  const chosen = Array.from({ length: random.whole(1, 4) }, () => random.pick(names));
  const happenings: Happening[] = [{ at: 0, type: "openTab" }, add(random, random.whole(1, 3) * SECOND)];
  for (const name of new Set(chosen)) {
    const times = name === "bulk" ? 1 : random.whole(1, 4);
    for (let count = 0; count < times; count++)
      happenings.push(
        ...(FEATURES[name] as Feature)(random, random.whole(2 * SECOND, random.pick([20 * SECOND, SPAN]))),
      );
  }
  for (let count = random.whole(0, 2); count > 0; count--)
    happenings.push(add(random, random.whole(0, SPAN)));
  happenings.sort((a, b) => a.at - b.at);
  return {
    seed,
    auth: random.pick(["none", "cookie", "bearer"]),
    hasBackgroundFetch: random.chance(chosen.includes("handOver") ? 1 : 0.4),
    linkBytesPerMs: random.pick([1_000, 20, 1, 0.4]),
    diskBytesPerMs: random.pick([5_000, 2]),
    happenings,
  };
}

function add(random: Random, at: number): Extract<Happening, { type: "add" }> {
  const sizes = Array.from({ length: random.whole(1, 3) }, () =>
    random.pick([0, 1, 500, 1_999, 2_001, 5_000, random.whole(1_000, 20_000), 20_000, 60_000]),
  );
  const hours = random.chance(0.1) ? { from: random.whole(0, 23), to: 24 } : null;
  return {
    at,
    type: "add",
    tab: random.whole(0, 3),
    sizes,
    lane: random.pick(["auto", "auto", "worker", "browser"]),
    hours,
  };
}
