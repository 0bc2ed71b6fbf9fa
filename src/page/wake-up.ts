/**
 * Background Sync (Chromium): the browser's promise to start the worker when the network is there, be it after a crash. A
 * page must ask for it while it lives: in `pagehide` it is sometimes lost, and a worker without a window may not.
 */
export class WakeUp {
  readonly #registration: ServiceWorkerRegistration;
  readonly #tag: string;
  #isWanted = false;

  constructor(registration: ServiceWorkerRegistration, tag: string) {
    this.#registration = registration;
    this.#tag = tag;
  }

  /** @param isWanted whether there is something to send */
  look(isWanted: boolean): void {
    const isNew = isWanted && !this.#isWanted;
    this.#isWanted = isWanted;
    if (isNew) this.renew();
  }

  /** The one before may have been used up. Asking twice is harmless. */
  renew(): void {
    // Refused where the user or the browser doesn't allow it; then the next visit has to do.
    if (this.#isWanted) this.#registration.sync?.register(this.#tag).catch(() => {});
  }
}
