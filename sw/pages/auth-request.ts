import { PROTOCOL_VERSION } from "../../src/protocol/protocol.ts";
import type { Platform } from "../platform/index.ts";
import { tellPages } from "./keep-alive.ts";

/** A page that has headers gives them within this; one that has none says nothing. */
const ANSWER_MS = 5_000;

/** Asks the pages for the headers that the app's server wants: only they know who is signed in. */
export class AuthRequest {
  readonly #platform: Pick<Platform, "clock" | "clients">;
  readonly #waiting: (() => void)[] = [];
  #undoTimer = () => {};

  constructor(platform: Pick<Platform, "clock" | "clients">) {
    this.#platform = platform;
  }

  /** Settles once a page has given headers, or when none will. However many ask, the pages are asked once. */
  async ask(): Promise<void> {
    const isFirst = this.#waiting.length === 0;
    const answered = new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (isFirst) await this.#ask();
    return answered;
  }

  /** A page has given headers. */
  answered(): void {
    this.#undoTimer();
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  async #ask(): Promise<void> {
    const { clients, clock } = this.#platform;
    this.#undoTimer = clock.after(ANSWER_MS, () => this.answered());
    try {
      if ((await clients.windows()).length === 0) return this.answered();
      await tellPages(this.#platform, { backhaul: PROTOCOL_VERSION, type: "authWanted" });
    } catch {
      // Pages that can't be asked will not answer.
      this.answered();
    }
  }
}
