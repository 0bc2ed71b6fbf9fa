import { s3Error } from "./answers.ts";
import { type End, failed } from "./end.ts";
import type { Action, Fault, Line } from "./fault.ts";
import type { Hands, Kind } from "./kind.ts";
import { clockFaults, separateFaults, sharedFaults } from "./kinds.ts";
import { type Method, TARGETS, type Target } from "./targets.ts";

/** One way an upload can be disturbed, and how it should end. */
export interface Cell {
  readonly method: Method;
  readonly line: Line;
  /** The column. */
  readonly request: string;
  /** The row, with `times`. */
  readonly fault: string;
  readonly times: Fault["times"];
  /** The last is the cell's own; one before it leads up to its request. */
  readonly faults: readonly Fault[];
  /** If it rests, it must be done once the fault is lifted. */
  readonly end: End;
}

export interface Matrix {
  /** Each strikes the requests of one upload only. */
  readonly separate: readonly Cell[];
  /** Cells whose faults strike every upload's requests. */
  readonly shared: readonly Cell[];
  /** Cells for engines whose clock can be set. */
  readonly clocks: readonly Cell[];
}

export function faultMatrix(hands: Hands): Matrix {
  return {
    separate: separateFaults(hands).flatMap(cellsOf),
    shared: sharedFaults.flatMap(cellsOf),
    clocks: clockFaults(hands).flatMap(cellsOf),
  };
}

export function nameCell({ method, line, request, fault, times }: Cell): string {
  return `${method}, ${line}, ${request}: ${fault}, ${times}`;
}

function cellsOf(kind: Kind): Cell[] {
  return TARGETS.flatMap((target) =>
    target.methods.flatMap((method) => {
      if (!kind.strikes({ ...target, methods: [method] })) return [];
      return (["once", "always"] as const).flatMap((times) => {
        const end = kind[times]?.(target);
        // The abort of a failed upload is retried for a while only.
        return end && !(target.lead === "failed" && times === "always")
          ? [cellOf(kind, target, method, times, end)]
          : [];
      });
    }),
  );
}

function cellOf(kind: Kind, target: Target, method: Method, times: Fault["times"], end: End): Cell {
  const { line, request, lead } = target;
  const operation = target.operation?.[method] ?? request;
  const own: Fault = {
    line,
    operation,
    times,
    action: kind.action,
    // The other parts go well.
    ...(line === "data" && method === "multipart" ? { partNumber: 2 } : {}),
    ...(kind.meanwhile ? { meanwhile: kind.meanwhile } : {}),
  };
  return {
    method,
    line,
    request,
    fault: kind.name,
    times,
    faults: lead ? [leadUp(lead, method), own] : [own],
    // A failed upload stays failed, whatever becomes of the abort.
    end: lead === "failed" ? failed("FORBIDDEN") : end,
  };
}

function leadUp(lead: NonNullable<Target["lead"]>, method: Method): Fault {
  const put = (action: Action): Fault => ({
    line: "data",
    times: "once",
    action,
    ...(method === "single" ? { operation: "PutObject" } : { operation: "UploadPart", partNumber: 2 }),
  });
  switch (lead) {
    case "part in doubt":
      return put({ do: "reset", at: "after" });
    case "signature refused":
      return put(s3Error(403, "AccessDenied"));
    case "failed":
      return put(s3Error(400, "InvalidArgument"));
    case "begin lost":
      return { line: "control", operation: "begin", times: "once", action: { do: "reset", at: "after" } };
    default:
      return lead satisfies never;
  }
}
