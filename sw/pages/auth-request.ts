import { PROTOCOL_VERSION } from "../../src/protocol/protocol.ts";
import type { Platform } from "../platform/index.ts";
import type { PageClients } from "./page-clients.ts";

/** A page that has headers gives them within this; one that has none says nothing. */
const ANSWER_MS = 5_000;

/** Asks the pages for the headers that the app's server wants: only they know who is signed in. */
export class AuthRequest {
  readonly #clock: Platform["clock"];
  readonly #pages: Pick<PageClients, "all" | "tell">;
  readonly #waiting: (() => void)[] = [];
  #undoTimer = () => {};

  constructor({ clock }: Pick<Platform, "clock">, pages: Pick<PageClients, "all" | "tell">) {
    this.#clock = clock;
    this.#pages = pages;
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
    this.#undoTimer = this.#clock.after(ANSWER_MS, () => this.answered());
    try {
      if ((await this.#pages.all()).length === 0) return this.answered();
      await this.#pages.tell({ backhaul: PROTOCOL_VERSION, type: "authWanted" });
    } catch {
      // Pages that can't be asked will not answer.
      this.answered();
    }
  }
}
