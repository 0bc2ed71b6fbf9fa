import { PROTOCOL_VERSION, type ScopedName, type WorkerApi } from "../src/protocol/protocol.ts";
import { type Engine, isDatabaseError } from "./engine/index.ts";
import { createMessageHandler, keepAlive, type Lifecycle, type PageClients } from "./pages/index.ts";
import { type BackgroundFetchEvent, type Platform, sleep } from "./platform/index.ts";

export interface EventsContext {
  readonly platform: Platform;
  readonly api: WorkerApi;
  readonly lifecycle: Lifecycle;
  readonly pages: PageClients;
  /** The engine, which is started by the first event that needs it. */
  readonly engine: () => Promise<Engine>;
  /** The tag of our `sync` events. */
  readonly name: ScopedName;
}

/** A `sync` that has lasted less has found nothing to wait for. */
const SHORT_SYNC_MS = 60_000;

/**
 * What can't be noted now is tried again, but not for the 300 s after which Chromium kills the worker: the files that found no
 * room are in its memory.
 */
const NOTE_EVERY_MS = 500;
const MOST_NOTES = 400;

/** What the worker's events have in common. */
export interface Events {
  /** What every event does in the end: it starts what can be started, and settles when there is nothing left to do. */
  work(): Promise<void>;
  /** Lets an event of the app's own try everything that waits, and lasts until there is nothing left to do. */
  wake(event: ExtendableEvent): void;
}

/** Listens to the worker's events. Must be called while the worker's script first runs, or the browser fires none. */
export function listenToEvents({ platform, api, lifecycle, pages, engine, name }: EventsContext): Events {
  let isBusy = () => false;
  keepAlive(platform, pages, () => isBusy());

  async function work(): Promise<void> {
    const { supervisor } = await engine();
    isBusy = () => supervisor.isBusy;
    supervisor.checkForWork();
    await supervisor.idle();
  }

  /** Something may have changed outside. */
  async function visit(): Promise<void> {
    (await engine()).supervisor.tryEverything();
  }

  /** The browser fires `sync` when it is online; and again and again while something waits, so it tells no more than that. */
  async function networkIsThere(): Promise<void> {
    (await engine()).supervisor.tryOffline();
  }

  const onMessage = createMessageHandler(api, {
    visit,
    spoke: (clientId) => pages.spoke(clientId),
    async handedOver({ fetchId, ranges, isImmediate }, clientId) {
      const { handedOver, fetches, isPageHoldingHandOver } = await engine();
      await handedOver.rangesInDoubt(ranges);
      await fetches.follow(fetchId);
      // Another page, or the same after a reload, may have asked for it back before it was there.
      if (!isImmediate && (await isPageHoldingHandOver(clientId))) await fetches.takeBack();
    },
  });
  platform.on("message", (event) => {
    const answered = onMessage(event);
    if (!answered) return;
    event.waitUntil(answered);
    lifecycle.hold(event, Promise.all([answered, work()]));
  });
  // Not held: the browser opens no page of the app before this event is over.
  platform.on("activate", () => void work().catch(() => {}));
  // A change of the network is no event to hold by; an answered "stay" or a page's own "wake" will hold.
  platform.network.onChange(
    () =>
      void visit()
        .then(work)
        .catch(() => {}),
  );
  async function isSyncUsed(event: { readonly lastChance?: unknown }, startedAt: number): Promise<boolean> {
    if (!(await engine()).supervisor.wantsWakeUp) return true;
    // Another one would be fired at once, and find as little to do: where the browser carries the bytes, or nobody is
    // signed in. The browser's own repetition comes minutes later.
    const isShort = platform.clock.elapsed() - startedAt < SHORT_SYNC_MS;
    if (isShort && event.lastChance !== true) return false;
    // A page asks for the next one: its promise outlives what the browser's own repetition would. One that does not answer
    // may be another app's, or not connected.
    return pages.ask({ backhaul: PROTOCOL_VERSION, type: "syncUsed" });
  }
  function holdSync(event: ExtendableEvent & { readonly lastChance?: unknown }, busy: Promise<void>): void {
    const startedAt = platform.clock.elapsed();
    lifecycle.holdSync(event, busy, () => isSyncUsed(event, startedAt));
  }
  platform.on("sync", (event) => {
    if (event.tag === name) holdSync(event, networkIsThere().then(work));
  });

  function wake(event: ExtendableEvent): void {
    const busy = visit().then(work);
    // Of all events, the browser repeats only those of Background Sync.
    if ("lastChance" in event) holdSync(event, busy);
    else lifecycle.hold(event, busy);
  }
  platform.on("periodicsync", (event) => {
    if (event.tag === name) wake(event);
  });

  /** The browser drops what it knows of a fetch with this event: until it is noted, be the disk full, the event goes on. */
  async function untilNoted<T>(note: (engine: Engine) => Promise<T>, tries = MOST_NOTES): Promise<T> {
    try {
      return await note(await engine());
    } catch (error) {
      if (tries === 0 || !isDatabaseError(error)) throw error;
      await sleep(platform.clock, NOTE_EVERY_MS);
      return untilNoted(note, tries - 1);
    }
  }
  function recordOutcome(event: BackgroundFetchEvent): void {
    const noted = untilNoted(({ fetches }) => fetches.finished(event.registration));
    // Not only held: a newer version that waits would be let in before it is noted.
    event.waitUntil(noted);
    lifecycle.hold(event, noted.then(work));
  }
  platform.on("backgroundfetchsuccess", recordOutcome);
  platform.on("backgroundfetchfail", recordOutcome);
  platform.on("backgroundfetchabort", (event) => {
    const pause = async () => {
      for (const id of await untilNoted(({ fetches }) => fetches.stoppedByUser(event.registration)))
        await untilNoted(({ commands }) => commands.pause(id, "browser")).catch(() => {});
    };
    event.waitUntil(pause());
  });
  return { work, wake };
}
