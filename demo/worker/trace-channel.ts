import type { TraceEvent } from "backhaul/sw";

/** From the demo's worker to its debug page, by BroadcastChannel. */
export const TRACE_CHANNEL = "backhaul-demo-trace";
/** The message by which the debug page asks for the events so far. Posting it wakes the worker. */
export const TRACE_PLEASE = "backhaul-demo-trace-please";
export const MOST_EVENTS = 500;

/** Events of one life of the worker, in order. `from`: number of the first one. */
export interface TraceMessage {
  /** Random, another one in each life. */
  readonly life: string;
  readonly from: number;
  readonly events: readonly TraceEvent[];
}
