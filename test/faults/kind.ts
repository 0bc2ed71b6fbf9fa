import { done, type End, failed, waiting } from "./end.ts";
import type { Action, Fault, Line, NamedRequest } from "./fault.ts";
import type { Target } from "./targets.ts";

/** One kind of fault: a row of the table. */
export interface Kind {
  readonly name: string;
  readonly strikes: (target: Target) => boolean;
  readonly action: Action;
  readonly meanwhile?: Fault["meanwhile"];
  /** How the upload ends if one request meets the fault, and if all do; undefined for a target where that is not tried. */
  readonly once?: Ends;
  readonly always?: Ends;
}
export type Ends = (target: Target) => End | undefined;
export type Code = Extract<End, { state: "failed" }>["code"];

/** Changes that a test can make from outside while a request is under way. */
export interface Hands {
  /** Drops the multipart upload of a request. */
  readonly abort: (request: NamedRequest) => Promise<void>;
  /** Sets S3's clock off, by so many milliseconds. */
  readonly setClock: (offsetMs: number) => void;
  /** Gives the worker new headers for the app's server. */
  readonly signIn: () => Promise<void>;
}
export const on =
  (...requests: string[]) =>
  ({ request }: Target) =>
    requests.includes(request);
export const onLine =
  (...lines: Line[]) =>
  ({ line, request }: Target) =>
    lines.includes(line) && request !== "Preflight";
export const isAny = () => true;

export const isDone: Ends = () => done;
export const fails =
  (code: Code): Ends =>
  () =>
    failed(code);
export const rests =
  (code: Code): Ends =>
  () =>
    waiting("backoff", code);
/**
 * Faults of the network are retried without end. Behind the server, it is the server that meets the fault, and it answers
 * while S3 doesn't.
 */
export const waits: Ends = ({ line }) =>
  waiting(
    "backoff",
    ({ control: "NETWORK", data: "STORAGE_UNREACHABLE", behind: "SERVER_ERROR" } as const)[line],
  );
export const passes = { once: isDone, always: isDone };
