import { relayEndedCookie } from "../../src/core/relay-url.ts";
import { FETCH_PREFIX } from "../../src/protocol/protocol.ts";
import type { Platform } from "../platform/index.ts";

/** An ended fetch fails within seconds; what was begun in one browser session may wait for the next. */
const ENDED_FOR_MS = 7 * 24 * 3_600_000;
/** Some 2,500 characters, of the 4,096 that a cookie has. */
const MOST_ENDED = 100;

/**
 * The Background Fetches, and single uploads' shares in them, that were ended. They stand in a cookie, which the relay reads: each
 * of their requests brings it along, also after a death of the worker or the browser.
 */
export class EndedFetches {
  readonly #platform: Pick<Platform, "backgroundFetch" | "cookies" | "clock" | "worker">;
  #adding: Promise<void> = Promise.resolve();

  constructor(platform: Pick<Platform, "backgroundFetch" | "cookies" | "clock" | "worker">) {
    this.#platform = platform;
  }

  async all(): Promise<readonly string[]> {
    const { cookies, worker } = this.#platform;
    const value = await cookies.get(relayEndedCookie(worker.scope));
    return value ? value.split(".") : [];
  }

  async includes(entry: string): Promise<boolean> {
    return (await this.all()).includes(entry);
  }

  /** @param entries as `endedEntry` makes them */
  add(entries: readonly string[]): Promise<void> {
    // One after another: the cookie is read and then written, and two at once would lose some.
    this.#adding = this.#adding.catch(() => {}).then(() => this.#write(entries));
    return this.#adding;
  }

  async #write(entries: readonly string[]): Promise<void> {
    const { cookies, clock, worker } = this.#platform;
    const before = (await this.all()).filter((entry) => !entries.includes(entry));
    const value = (await this.#withRoom([...before, ...entries])).join(".");
    const name = relayEndedCookie(worker.scope);
    await cookies.set(name, value, clock.now() + ENDED_FOR_MS);
  }

  /** The entries that still matter, as many as there is room for. */
  async #withRoom(entries: readonly string[]): Promise<readonly string[]> {
    if (entries.length <= MOST_ENDED) return entries;
    const ids = await this.#platform.backgroundFetch?.getIds().catch(() => undefined);
    const isThere = (entry: string) => {
      const [id = ""] = entry.split("~");
      return ids === undefined || ids.some((each) => each.startsWith(FETCH_PREFIX + id));
    };
    return entries.filter(isThere).slice(-MOST_ENDED);
  }
}
