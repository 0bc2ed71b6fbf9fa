import { PROTOCOL_VERSION, type WorkerMessage } from "../../src/protocol/protocol.ts";
import type { Platform } from "../platform/index.ts";

/** Browsers stop a worker about 30 s after its last event, if nothing holds it. */
const ASK_EVERY_MS = 20_000;

/**
 * While there is work, asks the pages to say something. Their answers are the events that extend this worker's life; a
 * page's own timers could not do it, since hidden tabs have theirs throttled to one a minute.
 */
export function keepAlive(platform: Pick<Platform, "clock" | "clients">, isBusy: () => boolean): void {
  platform.clock.every(ASK_EVERY_MS, () => {
    if (isBusy()) void tellPages(platform, { backhaul: PROTOCOL_VERSION, type: "stay" });
  });
}

/** Sends a message to all pages of the origin. */
export async function tellPages(
  { clients }: Pick<Platform, "clients">,
  message: WorkerMessage,
): Promise<void> {
  for (const page of await clients.windows()) page.postMessage(message);
}
