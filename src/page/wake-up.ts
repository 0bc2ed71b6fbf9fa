import type { PagePlatform } from "./platform.ts";

/** Chromium fires no more than one a day or so, by how much an installed app is used. */
const PERIOD_MS = 12 * 3_600_000;

/**
 * Background Sync (Chromium): the browser's promise to start the worker when the network is there, be it after a crash. A
 * page must ask for it while it lives: in `pagehide` it is sometimes lost, and a worker without a window may not. It gives up
 * after the third try, about half an hour later; Periodic Background Sync, where it is granted, goes on for as long as there is
 * something to send.
 */
export class WakeUp {
  readonly #worker: PagePlatform["worker"];
  readonly #tag: string;
  #isWanted = false;

  constructor({ worker }: Pick<PagePlatform, "worker">, tag: string) {
    this.#worker = worker;
    this.#tag = tag;
  }

  /** @param isWanted whether there is something to send */
  update(isWanted: boolean): void {
    const isNew = isWanted && !this.#isWanted;
    this.#isWanted = isWanted;
    if (!isNew) return;
    this.renew();
    this.#worker.registerPeriodicSync(this.#tag, PERIOD_MS).catch(() => {});
  }

  /** Asks again: the promise from before may have been used up. Asking twice is harmless. */
  renew(): void {
    // Refused where the user or the browser doesn't allow it; then the next visit has to do.
    if (this.#isWanted) this.#worker.registerSync(this.#tag).catch(() => {});
  }
}
