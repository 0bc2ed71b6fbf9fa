import type { PagePlatform } from "./platform.ts";

/**
 * Background Sync (Chromium): the browser's promise to start the worker when the network is there, be it after a crash. A
 * page must ask for it while it lives: in `pagehide` it is sometimes lost, and a worker without a window may not.
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
    if (isNew) this.renew();
  }

  /** Asks again: the promise from before may have been used up. Asking twice is harmless. */
  renew(): void {
    // Refused where the user or the browser doesn't allow it; then the next visit has to do.
    if (this.#isWanted) this.#worker.registerSync(this.#tag).catch(() => {});
  }
}
