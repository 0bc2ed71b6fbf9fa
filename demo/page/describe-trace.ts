import type { TraceEvent } from "backhaul";
import { formatBytes, formatSpeed } from "./format.ts";

export interface TraceLine {
  readonly step: string;
  readonly details: string;
  readonly tone: "go" | "wait" | "stop" | "plain";
}

export function describeTrace(event: TraceEvent): TraceLine {
  switch (event.type) {
    case "started":
      return line("worker started", `${event.uploads} uploads are stored`);
    case "state": {
      const details = [`from ${event.from}`, event.code].filter(Boolean).join(", ");
      return line(event.to, details, toneOf(event.to));
    }
    case "partSent": {
      const speed = formatSpeed((event.bytes / Math.max(event.ms, 1)) * 1_000);
      return line(
        `part ${event.partNumber} sent`,
        `${formatBytes(event.bytes)} in ${Math.round(event.ms)} ms, ${speed}`,
      );
    }
    case "partFailed": {
      const details = [event.code, event.detail, `fault ${event.attempts} in a row`]
        .filter(Boolean)
        .join(", ");
      return line(`part ${event.partNumber} failed`, details, "wait");
    }
    case "partDamaged":
      return line(`part ${event.partNumber} damaged`, "it is sent again", "wait");
    case "lookedUp":
      return line("asked the storage", `for ${event.asked} parts in doubt; it has ${event.found}`);
    case "parallel":
      return line(`${event.parts} parts at once`, "");
    case "forgotten":
      return line(
        `${event.uploads} uploads forgotten`,
        event.leftOpen > 0 ? `${event.leftOpen} may be left at the storage` : "",
      );
    case "lane":
      return line(`in the ${event.lane}'s lane`, "");
    default:
      event satisfies never;
      return line("something new", JSON.stringify(event));
  }
}

function toneOf(state: string): TraceLine["tone"] {
  if (state === "done") return "go";
  if (state === "failed") return "stop";
  return state === "waiting" ? "wait" : "plain";
}

function line(step: string, details: string, tone: TraceLine["tone"] = "plain"): TraceLine {
  return { step, details, tone };
}
