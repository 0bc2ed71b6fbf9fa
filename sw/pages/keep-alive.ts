import { PROTOCOL_VERSION } from "../../src/protocol/protocol.ts";
import type { Platform } from "../platform/index.ts";
import type { PageClients } from "./page-clients.ts";

/** Browsers stop a worker about 30 s after its last event, if nothing holds it. */
const ASK_EVERY_MS = 20_000;

/**
 * While there is work, asks the pages to say something. Their answers are the events that extend this worker's life; a
 * page's own timers could not do it, since hidden tabs have theirs throttled to one a minute.
 */
export function keepAlive(
  { clock }: Pick<Platform, "clock">,
  pages: Pick<PageClients, "tell">,
  isBusy: () => boolean,
): void {
  clock.every(ASK_EVERY_MS, () => {
    if (isBusy()) pages.tell({ backhaul: PROTOCOL_VERSION, type: "stay" }).catch(() => {});
  });
}
