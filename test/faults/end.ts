import type { Page } from "playwright";
import type { UploadErrorCode } from "../../src/core/errors.ts";

/** How an upload ends or rests. */
export type End =
  | { readonly state: "done" }
  | { readonly state: "failed"; readonly code: UploadErrorCode }
  | { readonly state: "waiting"; readonly reason: "backoff" | "auth"; readonly code: UploadErrorCode };

export const done: End = { state: "done" };
export const failed = (code: UploadErrorCode): End => ({ state: "failed", code });
export const waiting = (reason: "backoff" | "auth", code: UploadErrorCode): End => ({
  state: "waiting",
  reason,
  code,
});

/** `done`, `failed FORBIDDEN`, `waiting/backoff NETWORK`. */
export function nameEnd(end: End): string {
  switch (end.state) {
    case "done":
      return "done";
    case "failed":
      return `failed ${end.code}`;
    case "waiting":
      return `waiting/${end.reason} ${end.code}`;
    default:
      return end satisfies never;
  }
}

/** Faults in a row after which a fault counts as one that lasts. */
const LASTING = 3;
const PATIENCE_MS = 75_000;

/**
 * Waits for the end of an upload as the page sees it, or for a wait that is `awaited`, and names it as
 * `nameEnd` does. A waiting upload names the last fault of any of its parts, so the awaited one may take a
 * while to show. If neither comes, the result lists the upload's last states.
 */
export function endOf(page: Page, id: string, awaited: End): Promise<string> {
  return page.evaluate(
    ({ id, awaited, LASTING, PATIENCE_MS }) =>
      new Promise<string>((resolve) => {
        const history: string[] = [];
        let rests = 0;
        let undo = () => {};
        const end = (what: string) => {
          clearTimeout(timer);
          resolve(what);
          queueMicrotask(() => undo());
        };
        const timer = setTimeout(() => end(`stuck: ${history.slice(-6).join(", ")}`), PATIENCE_MS);
        undo = uploads.subscribe((list) => {
          const upload = list.find((each) => each.id === id);
          if (!upload) return;
          const { state, reason, error, attempts } = upload;
          const name = [reason ? `${state}/${reason}` : state, ...(error ? [error.code] : [])].join(" ");
          if (history.at(-1) !== name) {
            history.push(name);
            // Where parts are confirmed in between, attempts begin anew.
            if (name === awaited) rests += 1;
          }
          const isLasting = name === awaited && Math.max(attempts, rests) >= LASTING;
          const isResting = state === "waiting" && (reason !== "backoff" || isLasting);
          if (state === "done" || state === "failed" || isResting) end(name);
        });
      }),
    { id, awaited: nameEnd(awaited), LASTING, PATIENCE_MS },
  );
}
