import { PROTOCOL_VERSION, type WorkerMessage } from "../../src/protocol/protocol.ts";
import { every } from "../platform/clock.ts";

declare const self: ServiceWorkerGlobalScope;

/** Browsers stop a worker about 30 s after its last event, if nothing holds it. */
const ASK_EVERY_MS = 20_000;

/**
 * While there is work, asks the pages to say something. Their answers are the events that extend this worker's life; a
 * page's own timers could not do it, since hidden tabs have theirs throttled to one a minute.
 */
export function keepAlive(isBusy: () => boolean): void {
  every(ASK_EVERY_MS, () => {
    if (isBusy()) void tellPages({ backhaul: PROTOCOL_VERSION, type: "stay" });
  });
}

export async function tellPages(message: WorkerMessage): Promise<void> {
  for (const client of await self.clients.matchAll({ type: "window", includeUncontrolled: true }))
    client.postMessage(message);
}
