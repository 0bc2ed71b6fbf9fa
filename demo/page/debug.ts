import type { TraceEvent } from "backhaul";
import { MOST_EVENTS, TRACE_CHANNEL, TRACE_PLEASE, type TraceMessage } from "../worker/trace-channel.ts";
import { describeTrace } from "./describe-trace.ts";
import { findElement } from "./find-element.ts";

const table = findElement("#events", HTMLTableElement);
const body = findElement("#events tbody", HTMLTableSectionElement);
const empty = findElement("#empty", HTMLElement);
const TIME = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
});

let life = "";
/** Number of the next event in this life. */
let next = 0;

new BroadcastChannel(TRACE_CHANNEL).onmessage = ({ data }: MessageEvent<TraceMessage>) => {
  if (data.life !== life) {
    life = data.life;
    next = 0;
  }
  // Events that were broadcast while the answer was on its way arrive twice.
  for (const [index, event] of data.events.entries()) if (data.from + index >= next) show(event);
  next = Math.max(next, data.from + data.events.length);
};
const registration = await navigator.serviceWorker.ready;
registration.active?.postMessage(TRACE_PLEASE);

function show(event: TraceEvent): void {
  const { step, details, tone } = describeTrace(event);
  const row = document.createElement("tr");
  row.className = event.type === "started" ? "life" : tone;
  row.dataset.type = event.type;
  const id = "id" in event ? event.id.slice(0, 8) : "";
  for (const text of [TIME.format(event.at), id, step, details]) row.insertCell().textContent = text;
  body.prepend(row);
  while (body.rows.length > MOST_EVENTS) body.deleteRow(-1);
  table.hidden = false;
  empty.hidden = true;
}
