import { PROTOCOL_VERSION, type ScopedName, type WorkerApi } from "../src/protocol/protocol.ts";
import type { Engine } from "./engine/index.ts";
import { createMessageHandler, keepAlive, type Lifecycle, tellPages } from "./pages/index.ts";
import type { Platform } from "./platform/index.ts";

export interface EventsContext {
  readonly platform: Platform;
  readonly api: WorkerApi;
  readonly lifecycle: Lifecycle;
  /** The engine, which is started by the first event that needs it. */
  readonly engine: () => Promise<Engine>;
  /** The tag of our `sync` events. */
  readonly name: ScopedName;
}

/**
 * Listens to the worker's events. Must be called while the worker's script first runs, or the browser fires none.
 *
 * @returns what every event does in the end: it starts what can be started, and settles when there is nothing left to do
 */
export function listenToEvents({
  platform,
  api,
  lifecycle,
  engine,
  name,
}: EventsContext): () => Promise<void> {
  let isBusy = () => false;
  keepAlive(platform, () => isBusy());

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
  platform.on("activate", (event) => lifecycle.hold(event, work()));
  // A change of the network is no event to hold by; an answered "stay" or a page's own "wake" will hold.
  platform.network.onChange(
    () =>
      void visit()
        .then(work)
        .catch(() => {}),
  );
  platform.on("sync", (event) => {
    if (event.tag !== name) return;
    lifecycle.holdSync(event, networkIsThere().then(work), async () => {
      if (!(await engine()).supervisor.wantsWakeUp) return true;
      if ((await platform.clients.windows()).length === 0) return false;
      // A page asks for the next one: its promise outlives what the browser's own repetition would.
      await tellPages(platform, { backhaul: PROTOCOL_VERSION, type: "syncUsed" });
      return true;
    });
  });

  async function recordOutcome(event: BackgroundFetchEvent): Promise<void> {
    const { fetches } = await engine();
    await fetches.finished(event.registration);
    await work();
  }
  platform.on("backgroundfetchsuccess", (event) => lifecycle.hold(event, recordOutcome(event)));
  platform.on("backgroundfetchfail", (event) => lifecycle.hold(event, recordOutcome(event)));
  platform.on("backgroundfetchabort", (event) => {
    const pause = async () => {
      const { commands, fetches } = await engine();
      for (const id of await fetches.stoppedByUser(event.registration))
        await commands.pause(id, "browser").catch(() => {});
    };
    event.waitUntil(pause());
  });
  return work;
}
