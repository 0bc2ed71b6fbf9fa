import type { Guarantees } from "backhaul";

/** Browser families that treat a service worker alike. Brands don't matter: on iOS all of them are WebKit. */
type Engine = "chromium" | "firefox" | "webkit";

/** How long a worker lives once its last tab has gone, as measured in Chromium 156, Firefox 153 and WebKitGTK 2.50. */
const AFTER_LAST_TAB = {
  chromium: "for up to 5 minutes",
  firefox: "for about a minute",
  webkit: "for a few seconds",
} as const satisfies Record<Engine, string>;

/** A sentence about how far uploads get in this browser without the page. */
export function guarantee({ tabClosed, crash }: Guarantees): string {
  const afterCrash =
    crash === "resumes"
      ? "after a crash, or if you quit the browser, they start again with it, and what is left goes on when you come back"
      : "whatever is left goes on by itself when you come back";
  if (tabClosed === "continues")
    return `You may close this tab: uploads go on to their end in the background; ${afterCrash}.`;
  return `Uploads go on while a tab of this page is open and ${AFTER_LAST_TAB[detectEngine()]} after you close the last one; ${afterCrash}.`;
}

function detectEngine(): Engine {
  if ("userAgentData" in navigator || "BackgroundFetchManager" in globalThis) return "chromium";
  if (CSS.supports("-moz-appearance", "none")) return "firefox";
  // Also for engines unknown, since it promises least.
  return "webkit";
}
