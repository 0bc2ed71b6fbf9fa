import { RELAY_ENDED_COOKIE } from "../../src/core/relay-url.ts";
import { FETCH_PREFIX } from "../../src/protocol/protocol.ts";
import type { RawBed } from "./raw-bed.ts";
import type { RawTab } from "./raw-tab.ts";

/** Interfaces of Chromium that these tests use and TypeScript's own library lacks. */
interface BackgroundFetches {
  getIds(): Promise<readonly string[]>;
  get(id: string): Promise<{ matchAll(): Promise<readonly { readonly request: Request }[]> } | undefined>;
}

/** A page of the app's origin that does not run the app: it can look without taking anything back. */
export async function openObserver({ browser, url }: RawBed): Promise<RawTab> {
  return browser.open(`${url}sw.js`);
}

/** The ids of the uploads in each Background Fetch that is under way, those that were ended not counted. */
export function fetchesUnderWay(page: RawTab): Promise<string[][]> {
  return page.evaluate(
    async (prefix: string, cookieName: string) => {
      const registration = await navigator.serviceWorker.ready;
      const { backgroundFetch } = registration as unknown as { backgroundFetch: BackgroundFetches };
      const ended = (await cookieStore.get(cookieName))?.value?.split(".") ?? [];
      const underWay: string[][] = [];
      for (const id of await backgroundFetch.getIds()) {
        if (!id.startsWith(prefix) || ended.includes(id.slice(prefix.length).slice(0, 12))) continue;
        const records = (await (await backgroundFetch.get(id))?.matchAll()) ?? [];
        const uploads = records.map(({ request }) => new URL(request.url).searchParams.get("upload") ?? "");
        underWay.push([...new Set(uploads)]);
      }
      return underWay;
    },
    FETCH_PREFIX,
    RELAY_ENDED_COOKIE,
  );
}
