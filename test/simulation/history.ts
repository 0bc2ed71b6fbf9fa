import type { ReleaseRequest } from "../../src/core/http-api.ts";
import { MemoryDisk } from "../../sw/database/memory-database.ts";
import { isActive, owesAbort, type UploadRecord } from "../../sw/model/record.ts";
import { VirtualTime } from "../support/virtual-time.ts";
import { HALT_MS, type KnownUpload, knownUpload, Monitor } from "./monitor.ts";
import type { Happening, Scenario } from "./scenario.ts";
import { InMemoryRequest, InMemoryResponse } from "./world/http-messages.ts";
import { Network, type OriginMode } from "./world/network.ts";
import { Random } from "./world/random.ts";
import { signSynchronously, uploadIdIn } from "./world/signing.ts";
import { SIM_LIMITS, SimBrowser } from "./world/sim-browser.ts";
import { SimDatabases, type SimDisk } from "./world/sim-database.ts";
import { type SimContent, SimFile } from "./world/sim-file.ts";
import { SimRelay } from "./world/sim-relay.ts";
import { SimS3 } from "./world/sim-s3.ts";
import type { SimTab } from "./world/sim-tab.ts";

export interface HistoryEnd {
  readonly violations: readonly string[];
  readonly log: readonly string[];
  /** When workers have sent requests, in milliseconds since the history's begin. */
  readonly requestsAt: readonly number[];
}

const EPOCH = Date.UTC(2027, 0, 15, 12);
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;
/** In fair weather everything must have come to its end within this: waits last half an hour at most. */
const FAIR_MS = 40 * MINUTE;
/** Within this of a sign-in all that waited for it is tried. */
const SIGN_IN_MS = 15 * SECOND;
/** A visit frees at once what only a visit can free. */
const VISIT_MS = 10 * MINUTE;
/** Until the relay has heard of a pause or an end: the worker's life may have begun with it. */
const RELAY_HALT_MS = 5 * SECOND;
/** Files are cut into few, small parts: what happens to ten happens to a thousand. */
const PART_BYTES = 1_000;
const MOST_PARTS = 12;
const LOCK_NAME = "backhaul:https://app.test/";

const MODES: Readonly<Record<Extract<Happening, { type: "origin" }>["mode"], OriginMode>> = {
  "503": { type: "status", status: 503 },
  "503RetryAfter": { type: "status", status: 503, retryAfter: 7 },
  "500": { type: "status", status: 500 },
  "429": { type: "status", status: 429 },
  hangs: { type: "hangs" },
  unreachable: { type: "unreachable" },
  losesAnswers: { type: "losesAnswers", share: 0.5 },
  flaky: { type: "flaky", share: 0.5 },
  page403: { type: "page", status: 403 },
  page404: { type: "page", status: 404 },
  page200: { type: "page", status: 200 },
  backendFails: { type: "backendFails" },
  gateway: { type: "limits", perMinute: 100 },
};

/** Runs one history from its begin to its end, or to the first thing that must never be. */
export async function runHistory(scenario: Scenario): Promise<HistoryEnd> {
  const history = new History(scenario);
  const undo = history.replaceGlobals();
  try {
    await history.run();
  } catch (error) {
    history.monitor.violate(
      "something was thrown",
      error instanceof Error ? `${error.stack}` : String(error),
    );
  } finally {
    undo();
  }
  const { violations, log, requestsAt } = history.monitor;
  return { violations, log, requestsAt };
}

type HappeningOf<Type extends Happening["type"]> = Extract<Happening, { type: Type }>;

class History {
  readonly monitor: Monitor;
  readonly #scenario: Scenario;
  readonly #time = new VirtualTime();
  readonly #random: Random;
  readonly #disk: SimDisk;
  readonly #s3: SimS3;
  readonly #network: Network;
  readonly #browser: SimBrowser;
  readonly #contents = new Map<string, SimContent>();
  /** Rows that only another version of the library can read, by id. */
  readonly #unreadable = new Map<string, UploadRecord>();
  #clockOffset = 0;
  #isSignedIn = true;
  #signIns = 0;
  #owner = { name: "", since: 0 };
  #fileCount = 0;
  #hasDiskFailed = false;
  /** Pages that have got their first list. */
  readonly #connected = new Set<SimTab>();
  /** When the last thing from outside is over, by `elapsed`. */
  #unrestUntil = 0;

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
    const time = this.#time;
    this.#random = new Random(scenario.seed ^ 0x5eed);
    const memory = new MemoryDisk();
    this.#disk = {
      memory,
      fault: undefined,
      isBroken: false,
      pieceBytes: 2_000,
      bytesPerMs: scenario.diskBytesPerMs,
    };
    const trueClock = { now: () => EPOCH + time.elapsed, elapsed: () => time.elapsed };
    const deviceClock = {
      now: () => trueClock.now() + this.#clockOffset,
      msOfDay: () => (trueClock.now() + this.#clockOffset) % DAY,
    };
    this.#s3 = new SimS3(trueClock, {
      aborting: (uploadId, partCount) => this.monitor.aborting(uploadId, partCount),
      completed: (uploadId, key) => this.monitor.completed(uploadId, key),
    });
    this.monitor = new Monitor({
      time,
      s3: this.#s3,
      browser: () => this.#browser,
      records: () => memory.uploads,
      lockName: LOCK_NAME,
      owner: () => this.#owner,
    });
    this.#network = new Network({
      time,
      random: this.#random,
      s3: this.#s3,
      clock: deviceClock,
      sessions: { check: (headers) => this.#checkSession(headers) },
      watcher: this.monitor,
      minPartBytes: SIM_LIMITS.minPartBytes,
    });
    const relay = new SimRelay({
      time,
      s3: this.#s3,
      cookie: () => {
        const value = this.#browser.cookies.get("backhaul-ended");
        return value === undefined ? null : `backhaul-ended=${value}`;
      },
      isOnline: () => this.#network.isOnline && this.#browser.isRunning,
      bytesPerMs: () => this.#network.bytesPerMs,
      find: (uploadId) => {
        const found = [...this.#s3.uploads].find(([, upload]) => upload.uploadId === uploadId);
        const record = memory.uploads.get(uploadId);
        return found && record ? { plan: record.plan, s3UploadId: found[0] } : undefined;
      },
      reads: (uploadId) => this.#assertMayBeRelayed(memory.uploads.get(uploadId)),
      stored: (uploadId, partNumber) => this.monitor.note(`  relay stored ${uploadId} ${partNumber}`),
    });
    this.monitor.released = (body) => {
      const { tokens, fetches, ending } = body as ReleaseRequest;
      return relay.release(tokens.map(uploadIdIn), fetches, ending);
    };
    this.#browser = new SimBrowser({
      time,
      random: this.#random,
      clock: deviceClock,
      network: this.#network,
      relay,
      databases: new SimDatabases(time, this.#disk, this.monitor),
      watcher: {
        syncFired: () => this.monitor.syncFired(),
        syncUsed: () => this.monitor.syncUsed(),
        traced: ({ at: _, type, ...rest }) => {
          if (type === "state" || type === "lane")
            this.monitor.note(`  ${type} ${Object.values(rest).join(" ")}`);
        },
        crashed: (reason) => this.monitor.violate("the browser has crashed", reason),
      },
    });
    this.#network.bytesPerMs = scenario.linkBytesPerMs;
    this.#browser.hasBackgroundFetch = scenario.hasBackgroundFetch;
  }

  /** What is paused or has ended must not be relayed, where the relay could be told so. */
  #assertMayBeRelayed(record: UploadRecord | undefined): void {
    const upload = record && this.monitor.uploads.get(record.wantedKey);
    const haltedAt = upload && (upload.endedAt ?? upload.pausedAt);
    const isTold = this.#unrestUntil < this.#time.elapsed - RELAY_HALT_MS;
    if (haltedAt !== undefined && this.#time.elapsed - haltedAt > RELAY_HALT_MS && isTold)
      this.monitor.violate("an upload that was halted is relayed", record?.wantedKey);
  }

  /** Puts the server's clock under virtual time, keeps the code's own logging in the history, and hears of what nobody handles. */
  replaceGlobals(): () => void {
    const undoSubtle = signSynchronously();
    const { Request, Response } = globalThis;
    const { now } = Date;
    const { error, warn } = console;
    const log = (...words: unknown[]) => this.monitor.note(`log: ${words.map(String).join(" ")}`);
    Object.assign(console, { error: log, warn: log });
    Object.assign(globalThis, { Request: InMemoryRequest, Response: InMemoryResponse });
    Date.now = () => EPOCH + this.#time.elapsed;
    const unheard = (reason: unknown) =>
      this.monitor.violate(
        "a rejection that nobody handles",
        reason instanceof Error ? `${reason.stack}` : String(reason),
      );
    process.on("unhandledRejection", unheard);
    return () => {
      process.off("unhandledRejection", unheard);
      undoSubtle();
      Object.assign(console, { error, warn });
      Object.assign(globalThis, { Request, Response });
      Date.now = now;
    };
  }

  async run(): Promise<void> {
    for (const happening of this.#scenario.happenings) {
      await this.#runUntil(Math.max(0, happening.at));
      if (this.#isBroken) return;
      this.monitor.note(`* ${JSON.stringify(happening)}`);
      this.#apply(happening);
    }
    await this.#runUntil(this.#unrestUntil);
    if (!this.#isBroken) await this.#fairWeather();
  }

  get #isBroken(): boolean {
    return this.monitor.violations.length > 0;
  }

  async #runUntil(end: number): Promise<void> {
    const time = this.#time;
    while ((time.nextAt ?? Number.POSITIVE_INFINITY) <= end && !this.#isBroken) await time.step();
    time.elapsed = Math.max(time.elapsed, end);
    await time.settle();
  }

  // What happens.

  #apply(happening: Happening): void {
    this.monitor.disturbances += 1;
    const handler = this.#handlers[happening.type] as (happening: Happening) => void;
    handler(happening);
  }

  readonly #handlers: { readonly [Type in Happening["type"]]: (happening: HappeningOf<Type>) => void } = {
    openTab: () => this.#browser.isRunning && this.#openTab(),
    closeTab: ({ tab }) => this.#withTab(tab, (chosen) => chosen.close()),
    crashTab: ({ tab }) => this.#withTab(tab, (chosen) => chosen.crash()),
    reloadTab: ({ tab }) =>
      this.#withTab(tab, (chosen) => {
        chosen.close();
        this.#openTab();
      }),
    freezeTab: ({ tab, forMs }) =>
      this.#withTab(tab, (chosen) => {
        chosen.freeze();
        this.#later(forMs, () => chosen.thaw());
      }),
    add: (happening) => this.#withTab(happening.tab, (tab) => void this.#add(tab, happening)),
    pause: ({ upload }) => this.#withTab(0, (tab) => void this.#command(tab, "pause", upload)),
    resume: ({ upload }) => this.#withTab(0, (tab) => void this.#command(tab, "resume", upload)),
    cancel: ({ upload }) => this.#withTab(0, (tab) => void this.#command(tab, "cancel", upload)),
    retry: ({ upload }) => this.#withTab(0, (tab) => void this.#command(tab, "retry", upload)),
    remove: ({ upload }) => this.#withTab(0, (tab) => void this.#command(tab, "remove", upload)),
    pauseAll: () => this.#withTab(0, (tab) => void this.#commandAll(tab, "pauseAll")),
    resumeAll: () => this.#withTab(0, (tab) => void this.#commandAll(tab, "resumeAll")),
    killWorker: () => this.#browser.killWorker(),
    updateWorker: () => this.#browser.update(),
    killBrowser: ({ forMs }) => {
      this.#browser.kill();
      this.#later(forMs, () => this.#browser.start());
    },
    cutNetwork: ({ forMs }) => {
      this.#network.cut();
      this.#browser.networkChanged();
      this.#later(forMs, () => {
        this.#network.isOnline = true;
        this.#browser.networkChanged();
      });
    },
    onLineLies: ({ forMs }) => {
      this.#browser.onLineLie = false;
      this.#later(forMs, () => {
        this.#browser.onLineLie = undefined;
        this.#browser.networkChanged();
      });
    },
    origin: ({ origin, mode, forMs }) => {
      this.#network.modes[origin] = MODES[mode];
      this.#later(forMs, () => {
        this.#network.modes[origin] = { type: "ok" };
      });
    },
    slowLink: ({ bytesPerMs, forMs }) => {
      this.#network.bytesPerMs = bytesPerMs;
      this.#later(forMs, () => {
        this.#network.bytesPerMs = this.#scenario.linkBytesPerMs;
      });
    },
    endSession: ({ forMs }) => {
      if (this.#scenario.auth === "none") return;
      this.#isSignedIn = false;
      this.#later(forMs, () => this.#signIn());
    },
    switchUser: ({ forMs }) => {
      void this.#setOwner("b");
      this.#later(forMs, () => void this.#setOwner(""));
    },
    moveClock: ({ byMs }) => {
      this.#clockOffset += byMs;
    },
    diskFault: ({ fault, forMs }) => {
      // What can't be written is forgotten with the worker, and found out again.
      for (const upload of this.monitor.uploads.values()) upload.isProgressExcused = true;
      this.#disk.fault = fault;
      this.#hasDiskFailed = true;
      this.#later(forMs, () => {
        this.#disk.fault = undefined;
      });
    },
    closeDatabase: () => this.#disk.memory.disconnect(),
    deleteDatabase: () => {
      this.monitor.forgetAll();
      this.#disk.memory.erase();
      // Who is signed in is stored there too. A call under way tells it once more.
      const { name, since } = this.#owner;
      if (name !== "" && since < this.#time.elapsed) this.#owner = { name: "", since: this.#time.elapsed };
    },
    breakStart: ({ forMs }) => {
      this.#browser.killWorker();
      this.#disk.isBroken = true;
      this.#later(forMs, () => {
        this.#disk.isBroken = false;
      });
    },
    failBackgroundFetch: () => {
      this.#browser.backgroundFetchFaults = 1;
    },
    browse: ({ everyMs, forMs }) => {
      for (let at = 0; at < forMs; at += everyMs)
        this.#later(at, () => this.#browser.isRunning && this.#browser.transfers.navigated());
    },
    changeDevice: () => this.#browser.transfers.deviceChanged(),
    unreadableRow: ({ upload }) => this.#makeUnreadable(upload),
    changeFile: ({ upload: number }) => {
      const content = [...this.#contents.values()][number];
      const upload = content && this.monitor.uploads.get(content.name);
      if (!content || !upload) return;
      content.isUnreadable = true;
      upload.isExcused = true;
    },
  };

  /** Something that ends by itself. Fair weather begins after the last. */
  #later(ms: number, callback: () => void): void {
    this.#unrestUntil = Math.max(this.#unrestUntil, this.#time.elapsed + ms + 1);
    this.#time.after(ms, callback);
  }

  #withTab(number: number, use: (tab: SimTab) => void): void {
    const { tabs } = this.#browser;
    const tab = tabs[number % Math.max(tabs.length, 1)];
    if (tab) use(tab);
  }

  #openTab(): SimTab {
    const tab = this.#browser.openTab();
    const connect = async () => {
      const owner = this.#owner.since > 0 ? { owner: this.#owner.name } : {};
      const auth = this.#scenario.auth === "bearer" ? { auth: () => this.#bearer() } : {};
      await tab.uploads.open({ ...owner, ...auth });
      tab.uploads.subscribe((list) => this.monitor.shown(tab.id, list));
      this.#connected.add(tab);
    };
    connect().catch((error: unknown) => this.monitor.note(`a tab could not connect: ${error}`));
    return tab;
  }

  async #add(
    tab: SimTab,
    { sizes, lane, hours, parts = MOST_PARTS }: Extract<Happening, { type: "add" }>,
  ): Promise<void> {
    const files = sizes.map((size) => {
      this.#fileCount += 1;
      const key = `file-${this.#fileCount}`;
      const content: SimContent = { name: key, isUnreadable: false };
      this.#contents.set(key, content);
      const upload = knownUpload({ key, size, content: key });
      this.monitor.uploads.set(key, upload);
      const file = new SimFile(content, size, key, EPOCH);
      const partSize = Math.max(PART_BYTES, Math.ceil(size / parts));
      const wanted = { file, key, lane, ...(size > 2 * PART_BYTES && { partSize }) };
      return { upload, wanted: { ...wanted, ...(hours && { conditions: { hours } }) } };
    });
    try {
      const ids = await tab.uploads.addAll(files.map(({ wanted }) => wanted));
      for (const [index, { upload }] of files.entries()) {
        upload.isPromised = true;
        const shown = tab.uploads.get(ids[index] as string);
        const isUnsafe = shown?.durability === "memory" && ["queued", "uploading"].includes(shown.state);
        if (isUnsafe && !this.#hasDiskFailed && !upload.isExcused)
          this.monitor.violate("add has settled before the file is safe", upload.key);
      }
    } catch (error) {
      this.monitor.note(`add was refused: ${error}`);
    }
  }

  async #command(
    tab: SimTab,
    type: "pause" | "resume" | "cancel" | "retry" | "remove",
    number: number,
  ): Promise<void> {
    const list = tab.uploads.list();
    const shown = list[number % Math.max(list.length, 1)];
    const upload = shown && this.monitor.uploads.get(shown.key);
    if (!shown || !upload) return;
    if (type === "cancel" || type === "remove") upload.isEnding = true;
    if (type === "resume") upload.pausedAt = undefined;
    try {
      await tab.uploads[type](shown.id);
    } catch (error) {
      this.monitor.note(`${type} was refused: ${error}`);
      return;
    }
    const state = tab.uploads.get(shown.id)?.state;
    if (type === "pause" && state === "paused") this.#paused(upload);
    if (type === "cancel") {
      upload.endedAt = this.#time.elapsed;
      this.#time.after(HALT_MS, () => this.monitor.assertHalted([upload.key]));
    }
  }

  #paused(upload: KnownUpload): void {
    const pausedAt = this.#time.elapsed;
    upload.pausedAt = pausedAt;
    this.#time.after(HALT_MS, () => {
      if (upload.pausedAt === pausedAt && !upload.isEnding) this.monitor.assertHalted([upload.key]);
    });
  }

  async #commandAll(tab: SimTab, type: "pauseAll" | "resumeAll"): Promise<void> {
    if (type === "resumeAll") for (const upload of this.monitor.uploads.values()) upload.pausedAt = undefined;
    try {
      await (type === "pauseAll" ? tab.uploads.pause() : tab.uploads.resume());
    } catch (error) {
      this.monitor.note(`${type} was refused: ${error}`);
      return;
    }
    if (type === "resumeAll") return;
    for (const { key, state } of tab.uploads.list()) {
      const upload = this.monitor.uploads.get(key);
      if (upload && state === "paused") this.#paused(upload);
    }
  }

  // Who is signed in.

  #bearer() {
    return { authorization: `Bearer ${this.#signIns}` };
  }

  #checkSession(headers: Headers): { readonly owner: string } | { readonly status: 401 } {
    const isBearer = this.#scenario.auth === "bearer";
    const isRight = !isBearer || headers.get("authorization") === this.#bearer().authorization;
    return this.#isSignedIn && isRight ? { owner: "" } : { status: 401 };
  }

  #signIn(): void {
    this.#isSignedIn = true;
    this.#signIns += 1;
    const [tab] = this.#browser.tabs;
    if (!tab) return;
    if (this.#scenario.auth === "bearer") {
      for (const each of this.#browser.tabs) each.uploads.setAuth(() => this.#bearer()).catch(() => {});
      this.#assertSignInFrees();
    } else {
      // Signing in with a cookie leads to a page that is loaded anew.
      tab.close();
      this.#openTab();
    }
  }

  /** New headers are tried at once by what waits for them, unless something else happens meanwhile. */
  #assertSignInFrees(): void {
    const { disturbances } = this.monitor;
    const isCalm = () =>
      this.monitor.disturbances === disturbances &&
      this.#network.isOnline &&
      this.#network.modes.server.type === "ok" &&
      this.#disk.fault === undefined &&
      this.#browser.tabs.every(({ isFrozen }) => !isFrozen) &&
      this.#owner.name === "";
    if (!isCalm()) return;
    this.#time.after(SIGN_IN_MS, () => {
      const [stuck] = this.#waitingFor("auth");
      if (stuck && isCalm()) this.monitor.violate("a sign-in frees nothing", stuck.key);
    });
  }

  async #setOwner(name: string): Promise<void> {
    const [tab] = this.#browser.tabs;
    if (!tab) return;
    const before = this.#owner;
    // From the call on either may be right; the rule counts from its answer.
    const asked = { name, since: Number.POSITIVE_INFINITY };
    this.#owner = asked;
    try {
      await tab.uploads.setOwner(name);
      // A later call may have been answered first: this one waits for what the relay still reads.
      if (this.#owner !== asked) return;
      const owner = { name, since: this.#time.elapsed };
      this.#owner = owner;
      this.#time.after(
        HALT_MS,
        () => this.#owner === owner && this.monitor.assertHalted(this.#foreignKeys()),
      );
    } catch (error) {
      this.monitor.note(`setOwner was refused: ${error}`);
      if (this.#owner === asked) this.#owner = before;
    }
    if (this.#scenario.auth === "bearer") tab.uploads.setAuth(() => this.#bearer()).catch(() => {});
  }

  #foreignKeys(): string[] {
    const records = [...this.#disk.memory.uploads.values()];
    return records.filter(({ owner }) => owner !== this.#owner.name).map(({ wantedKey }) => wantedKey);
  }

  #makeUnreadable(number: number): void {
    const { memory } = this.#disk;
    const records = [...memory.uploads.values()];
    const record = records[number % Math.max(records.length, 1)];
    if (!record || this.#unreadable.has(record.id)) return;
    this.#browser.killWorker();
    this.#unreadable.set(record.id, record);
    memory.uploads.delete(record.id);
    memory.unreadableIds.add(record.id);
  }

  // How it ends.

  async #fairWeather(): Promise<void> {
    const browser = this.#browser;
    const { memory } = this.#disk;
    this.monitor.note("* fair weather");
    browser.backgroundFetchFaults = 0;
    if (this.#unreadable.size > 0) {
      browser.killWorker();
      for (const [id, record] of this.#unreadable) {
        const isErased = !memory.unreadableIds.delete(id);
        if (!isErased) memory.uploads.set(id, record);
      }
    }
    if (browser.tabs.length === 0) this.#openTab();
    await this.#runUntil(this.#time.elapsed + 10 * SECOND);
    if (this.#isBroken) return;
    if (this.#owner.name !== "") await this.#whileRunning(this.#setOwner(""));
    const [tab] = browser.tabs;
    if (!tab) return this.monitor.violate("no page can be opened");
    await this.#whileRunning(this.#commandAll(tab, "resumeAll"));
    await this.#runUntil(this.#time.elapsed + FAIR_MS);
    if (this.#hasAnHourJustCome) await this.#runUntil(this.#time.elapsed + FAIR_MS);
    if (this.#isBroken) return;
    this.#assertNothingRests();
    this.#assertPagesAreRight();

    // The next visit must free whatever still waits.
    const visit = this.#openTab();
    await this.#runUntil(this.#time.elapsed + VISIT_MS);
    if (this.#isBroken) return;
    if (this.#waitingFor("conditions").length > 0) await this.#runUntil(this.#time.elapsed + DAY + FAIR_MS);
    await this.#assertCanary(visit);
    if (this.#isBroken) return;
    await this.#assertObedience(visit);
    if (this.#isBroken) return;
    await this.#assertWaitsEnd(visit);
    if (this.#isBroken) return;
    await this.#assertForeignPageIsNoVerdict(visit);
    if (this.#isBroken) return;
    this.#assertPagesAreRight();
    this.#assertEnds(visit);
    this.monitor.assertObjects(visit.uploads.list());
    this.monitor.assertCost();
  }

  async #whileRunning(work: Promise<void>): Promise<void> {
    let isOver = false;
    work.then(() => {
      isOver = true;
    });
    const end = this.#time.elapsed + 2 * MINUTE;
    while (!isOver && this.#time.elapsed < end && !this.#isBroken)
      await this.#runUntil(this.#time.elapsed + 100);
    if (!isOver) this.monitor.violate("a page's call never settles");
  }

  #waitingFor(reason: string): UploadRecord[] {
    return [...this.#disk.memory.uploads.values()].filter(
      (record) => record.owner === "" && record.state === "waiting" && record.reason === reason,
    );
  }

  /** Without a visit, too, all must end, but for what waits for its user, its file or its hour. */
  #assertNothingRests(): void {
    const stuck = [...this.#disk.memory.uploads.values()].find((record) => {
      if (record.owner !== "") return false;
      const isWaiting =
        record.state === "waiting" && record.reason !== "conditions" && record.reason !== "file";
      return isActive(record) || owesAbort(record) || isWaiting;
    });
    if (!stuck) return;
    const reason = stuck.state === "waiting" ? stuck.reason : "";
    this.monitor.violate("an upload rests though it could move", `${stuck.key}: ${stuck.state} ${reason}`);
  }

  /** Since the hour of some upload came, the weather has not been fair for long enough. */
  get #hasAnHourJustCome(): boolean {
    return [...this.#disk.memory.uploads.values()].some(({ conditions }) => {
      const hours = conditions?.hours;
      const sinceMs = hours ? this.#browser.clock.msOfDay() - hours.from * 60 * MINUTE : FAIR_MS;
      return (sinceMs + DAY) % DAY < FAIR_MS;
    });
  }

  /** What pages show must be what is stored. */
  #assertPagesAreRight(): void {
    const { memory } = this.#disk;
    for (const tab of this.#browser.tabs) {
      if (!this.#connected.has(tab)) continue;
      const shown = new Map(tab.uploads.list().map(({ id, state }) => [id, state]));
      // A row that becomes readable again is shown from the next worker on.
      for (const { id, owner, state, wantedKey } of memory.uploads.values())
        if (owner === "" && state !== "canceled" && !this.#unreadable.has(id) && shown.get(id) !== state)
          this.monitor.violate(
            "a page shows what is no longer so",
            `${wantedKey}: ${shown.get(id)} instead of ${state}`,
          );
    }
  }

  /** A new file must always find its way. */
  async #assertCanary(tab: SimTab): Promise<void> {
    this.monitor.note("* the last file");
    let id: string | undefined;
    let problem: unknown;
    this.monitor.uploads.set("canary", knownUpload({ key: "canary", size: 3_500, content: "canary" }));
    const file = new SimFile({ name: "canary", isUnreadable: false }, 3_500, "canary", EPOCH);
    tab.uploads.add(file, { key: "canary" }).then(
      (added) => {
        id = added;
      },
      (error: unknown) => {
        problem = error;
      },
    );
    await this.#runUntil(this.#time.elapsed + 5 * MINUTE);
    if (this.#isBroken) return;
    const state = id && tab.uploads.get(id)?.state;
    if (state !== "done")
      this.monitor.violate("a new file does not arrive in fair weather", String(problem ?? state));
  }

  /** Pause and cancel halt what is on its way, and a resume sets it going again, all at once. */
  async #assertObedience(tab: SimTab): Promise<void> {
    await this.#assertCancelHalts(tab);
    if (this.#isBroken) return;
    const { id, upload } = await this.#addSlowly(tab, "paused-canary");
    await this.#whileRunning(tab.uploads.pause(id));
    this.#paused(upload);
    await this.#runUntil(this.#time.elapsed + 10 * SECOND);
    if (this.#isBroken) return;
    const { requestsAt } = this.monitor;
    const before = requestsAt.length;
    let isMoving = false;
    upload.pausedAt = undefined;
    await this.#whileRunning(
      tab.uploads.resume(id).then(() => {
        isMoving = requestsAt.length > before;
      }),
    );
    // Whatever the page asks for next would wake the worker as well, but later.
    if (!isMoving) this.monitor.violate("an upload that was resumed does not move at once");
    this.#network.bytesPerMs = 1_000;
    await this.#runUntil(this.#time.elapsed + 2 * MINUTE);
    const state = tab.uploads.get(id)?.state;
    if (state !== "done") this.monitor.violate("an upload that was resumed does not arrive", state);
  }

  /** A wait ends by the worker's own timer: no page says anything meanwhile. */
  async #assertWaitsEnd(tab: SimTab): Promise<void> {
    this.#network.modes.s3 = MODES["503"];
    const key = "waiting-canary";
    this.monitor.uploads.set(key, knownUpload({ key, size: 3_500, content: key }));
    let id = "";
    const file = new SimFile({ name: key, isUnreadable: false }, 3_500, key, EPOCH);
    await this.#whileRunning(
      tab.uploads.add(file, { key, lane: "worker" }).then((added) => {
        id = added;
      }),
    );
    const { tabs } = this.#browser;
    for (const each of tabs) each.freeze();
    await this.#runUntil(this.#time.elapsed + 5 * SECOND);
    this.#network.modes.s3 = { type: "ok" };
    await this.#runUntil(this.#time.elapsed + 2 * MINUTE);
    const state = this.#disk.memory.uploads.get(id)?.state;
    for (const each of tabs) each.thaw();
    await this.#runUntil(this.#time.elapsed + 2 * SECOND);
    if (state !== "done") this.monitor.violate("a wait does not end by itself", state);
  }

  /** A gateway's 404 says nothing of the upload: the rules see whether what S3 has is thrown away. */
  async #assertForeignPageIsNoVerdict(tab: SimTab): Promise<void> {
    const { id } = await this.#addSlowly(tab, "gateway-canary", 1);
    this.#network.modes.server = MODES.page404;
    this.#network.modes.s3 = MODES["503"];
    await this.#runUntil(this.#time.elapsed + 5 * SECOND);
    this.#network.modes.s3 = { type: "ok" };
    await this.#runUntil(this.#time.elapsed + 5 * SECOND);
    this.#network.modes.server = { type: "ok" };
    this.#network.bytesPerMs = 1_000;
    await this.#runUntil(this.#time.elapsed + 5 * MINUTE);
    const state = tab.uploads.get(id)?.state;
    if (state !== "done") this.monitor.violate("an upload does not outlast a gateway's page", state);
  }

  async #assertCancelHalts(tab: SimTab): Promise<void> {
    const { id, upload } = await this.#addSlowly(tab, "canceled-canary");
    upload.isEnding = true;
    await this.#whileRunning(tab.uploads.cancel(id));
    upload.endedAt = this.#time.elapsed;
    await this.#runUntil(this.#time.elapsed + HALT_MS);
    this.monitor.assertHalted([upload.key]);
    await this.#runUntil(this.#time.elapsed + 10 * SECOND);
    const isOpen = [...this.#s3.uploads.values()].some(({ key }) => key === upload.key);
    if (isOpen) this.monitor.violate("what was canceled is still open at S3");
  }

  /** Adds a file that is half sent when this settles. */
  async #addSlowly(tab: SimTab, key: string, bytesPerMs = 0.1) {
    const upload = knownUpload({ key, size: 24_000, content: key });
    this.monitor.uploads.set(key, upload);
    const file = new SimFile({ name: key, isUnreadable: false }, upload.size, key, EPOCH);
    this.#network.bytesPerMs = bytesPerMs;
    let id = "";
    await this.#whileRunning(
      tab.uploads.add(file, { key, lane: "worker", partSize: 2_000 }).then((added) => {
        id = added;
      }),
    );
    await this.#runUntil(this.#time.elapsed + 6 * SECOND);
    return { id, upload };
  }

  #assertEnds(tab: SimTab): void {
    const shown = new Map(tab.uploads.list().map((upload) => [upload.key, upload]));
    const stored = [...this.#disk.memory.uploads.values()];
    for (const upload of this.monitor.uploads.values()) {
      const { key, isEnding, isPromised, isExcused } = upload;
      const last = shown.get(key);
      if (isEnding || isExcused || last?.state === "done") continue;
      // It rests until its owner is back.
      if (stored.some(({ wantedKey, owner }) => wantedKey === key && owner !== "")) continue;
      if (!last) {
        if (isPromised) this.monitor.violate("an upload has vanished", key);
        continue;
      }
      // Its bytes went with the worker, as its page was told.
      if (last.reason === "file" && last.durability === "memory") continue;
      this.monitor.violate(
        "an upload is stuck",
        `${key}: ${last.state} ${last.reason ?? ""} ${last.error?.code ?? ""}`,
      );
    }
  }
}
