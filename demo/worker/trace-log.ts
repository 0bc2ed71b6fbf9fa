import type { TraceEvent } from "backhaul/sw";
import { MOST_EVENTS, TRACE_CHANNEL, TRACE_PLEASE, type TraceMessage } from "./trace-channel.ts";

declare const self: ServiceWorkerGlobalScope;

/** Keeps the last events of this worker's life, and tells the debug page of them. */
export class TraceLog {
  readonly #channel = new BroadcastChannel(TRACE_CHANNEL);
  readonly #life = crypto.randomUUID();
  #events: TraceEvent[] = [];
  #dropped = 0;

  constructor() {
    self.addEventListener("message", ({ data }) => {
      if (data === TRACE_PLEASE) this.#tell(this.#events, this.#dropped);
    });
  }

  add(event: TraceEvent): void {
    this.#tell([event], this.#dropped + this.#events.length);
    this.#events.push(event);
    if (this.#events.length < 2 * MOST_EVENTS) return;
    this.#events = this.#events.slice(-MOST_EVENTS);
    this.#dropped += MOST_EVENTS;
  }

  #tell(events: readonly TraceEvent[], from: number): void {
    this.#channel.postMessage({ life: this.#life, from, events } satisfies TraceMessage);
  }
}
