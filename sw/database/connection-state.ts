import { UploadError } from "../../src/core/errors.ts";

/** Whether a connection can still be used, and who is to be told when it is lost. */
export class ConnectionState {
  readonly #listeners = new Set<() => void>();
  #state: "open" | "closed" | "lost" = "open";

  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** @throws {UploadError} `DATABASE_CLOSED` */
  assertOpen(): void {
    if (!this.isOpen) throw new UploadError("DATABASE_CLOSED");
  }

  /** Its owner wants no more of it. */
  close(): void {
    if (this.isOpen) this.#state = "closed";
    this.#listeners.clear();
  }

  /** Somebody else has closed it. */
  lose(): void {
    if (!this.isOpen) return;
    this.#state = "lost";
    this.#tellListeners();
  }

  /** As `UploadDatabase.onClosed`. */
  onLost(listener: () => void): () => void {
    this.#listeners.add(listener);
    // The connection may have been lost before anybody could listen.
    if (this.#state === "lost") queueMicrotask(() => this.#tellListeners());
    return () => void this.#listeners.delete(listener);
  }

  #tellListeners(): void {
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener();
  }
}
