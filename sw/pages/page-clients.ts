import type { WorkerMessage } from "../../src/protocol/protocol.ts";
import type { PageClient, Platform } from "../platform/index.ts";

/** A page that lives answers at once; one that never connected does not. */
const ANSWER_MS = 2_000;

/** The windows that this worker is for. Those of other apps at the same origin are none of its business. */
export class PageClients {
  readonly #platform: Pick<Platform, "clock" | "clients" | "worker">;
  /** Ids of those who have spoken to this worker: they may be outside of its scope. */
  #spoken: ReadonlySet<string> = new Set();
  readonly #answered = new Set<() => void>();

  constructor(platform: Pick<Platform, "clock" | "clients" | "worker">) {
    this.#platform = platform;
  }

  /** A message of this page's has come. */
  spoke(id: string): void {
    if (!this.#spoken.has(id)) this.#spoken = new Set([...this.#spoken, id]);
    for (const answered of [...this.#answered]) answered();
  }

  /** Those in scope, and those that have spoken. Whether one of them listens, only its answer tells. */
  async all(): Promise<readonly PageClient[]> {
    const { clients, worker } = this.#platform;
    const windows = await clients.windows();
    this.#spoken = new Set(windows.flatMap(({ id }) => (this.#spoken.has(id) ? [id] : [])));
    return windows.filter(({ id, url }) => this.#spoken.has(id) || url.startsWith(worker.scope));
  }

  async tell(message: WorkerMessage): Promise<void> {
    for (const page of await this.all()) page.postMessage(message);
  }

  /** Tells all pages, and gives whether one of them has answered within a moment. */
  async ask(message: WorkerMessage): Promise<boolean> {
    const pages = await this.all();
    if (pages.length === 0) return false;
    return new Promise((resolve) => {
      const end = (isAnswered: boolean) => {
        undo();
        this.#answered.delete(answered);
        resolve(isAnswered);
      };
      const answered = () => end(true);
      const undo = this.#platform.clock.after(ANSWER_MS, () => end(false));
      this.#answered.add(answered);
      for (const page of pages) page.postMessage(message);
    });
  }
}
