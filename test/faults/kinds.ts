import { bodies, completion, etags, gone, malformed, refusals, signIns } from "./answer-kinds.ts";
import { gatewayAnswer, s3Error } from "./answers.ts";
import { done, waiting } from "./end.ts";
import type { Action } from "./fault.ts";
import { type Code, type Hands, isAny, isDone, type Kind, on, onLine, passes, waits } from "./kind.ts";

const network: readonly Kind[] = [
  {
    name: "reset before it is read",
    strikes: isAny,
    action: { do: "reset", at: "before" },
    once: isDone,
    always: waits,
  },
  {
    name: "reset in the middle of the body",
    action: { do: "reset", at: "middle" },
    strikes: on("PUT", "begin", "complete", "CompleteMultipartUpload"),
    once: isDone,
    always: waits,
  },
  {
    name: "answer lost",
    action: { do: "reset", at: "after" },
    strikes: isAny,
    once: isDone,
    // Parts that S3 has stored are found by a look-up.
    always: (target) => (target.request === "PUT" ? done : waits(target)),
  },
  {
    name: "connection breaks within the answer",
    action: { do: "reset", at: "answer" },
    strikes: ({ isAnswered }) => isAnswered,
    once: isDone,
    always: waits,
  },
];

const slow: readonly Kind[] = [
  { name: "delayed by 0.3 s", strikes: isAny, action: { do: "delay", ms: 300 }, once: isDone },
  {
    name: "128 KiB/s",
    strikes: on("PUT"),
    action: { do: "limit", bytesPerSecond: 128 * 1024 },
    always: isDone,
  },
  {
    name: "stalled",
    action: { do: "stall", acted: false },
    once: isDone,
    strikes: ({ line }) => line !== "data",
    always: ({ line, request }) => {
      // `complete` has a deadline of minutes, since S3 may need them.
      if (request === "complete") return undefined;
      return waiting("backoff", line === "control" ? "STALLED" : "SERVER_ERROR");
    },
  },
];

/** A server that is busy is asked again, for as long as it takes. */
const busyAt = (
  name: string,
  action: Action,
  strikes: Kind["strikes"],
  code: Code = "SERVER_ERROR",
): Kind => ({
  name,
  action,
  strikes,
  once: isDone,
  // Behind the server, any fault is reported as the server's.
  always: ({ line }) => waiting("backoff", line === "behind" ? "SERVER_ERROR" : code),
});
const everywhere = onLine("control", "data", "behind");
const atS3 = onLine("data", "behind");

const busy: readonly Kind[] = [
  busyAt("429", gatewayAnswer(429), everywhere, "SLOW_DOWN"),
  busyAt("503 with Retry-After", gatewayAnswer(503, { "retry-after": "1" }), everywhere, "SLOW_DOWN"),
  busyAt("503 SlowDown", s3Error(503, "SlowDown"), atS3, "SLOW_DOWN"),
  busyAt("500", gatewayAnswer(500), onLine("control")),
  busyAt("500 InternalError", s3Error(500, "InternalError"), atS3),
  busyAt("502", gatewayAnswer(502), everywhere),
  busyAt("504", gatewayAnswer(504), everywhere),
  busyAt(
    "400 RequestTimeout",
    s3Error(400, "RequestTimeout"),
    // A HEAD's answer has no body, and so no code.
    (target) => atS3(target) && target.request !== "HeadObject",
  ),
  {
    name: "503 to the preflight",
    strikes: on("Preflight"),
    action: gatewayAnswer(503),
    once: isDone,
    always: waits,
  },
];

/** Faults that strike one upload only. */
export const separateFaults = (hands: Hands): readonly Kind[] => [
  ...network,
  ...slow,
  ...busy,
  ...refusals,
  ...malformed,
  ...bodies,
  ...etags,
  ...gone(hands),
  ...signIns(hands),
  ...completion,
];

/** Faults that strike other uploads too: a part that stalls keeps its slot, and an outage is everybody's. */
export const sharedFaults: readonly Kind[] = [
  {
    name: "stalled",
    strikes: on("PUT"),
    action: { do: "stall", acted: false },
    once: isDone,
    always: () => waiting("backoff", "STALLED"),
  },
  {
    name: "stalled, though stored",
    strikes: on("PUT"),
    action: { do: "stall", acted: true },
    ...passes,
  },
  {
    name: "refused, and nothing listens",
    action: { do: "refuse" },
    once: isDone,
    always: waits,
    strikes: ({ request }) => request !== "Preflight",
  },
];

const OFF_MS = 20 * 60_000;

/** Faults of the clocks. S3's clock is set off, which is the same as if the server's, which signs, were off. */
export const clockFaults = ({ setClock }: Hands): readonly Kind[] => [
  ...(
    [
      ["behind", -OFF_MS],
      ["ahead", OFF_MS],
    ] as const
  ).map(
    ([where, offsetMs]): Kind => ({
      name: `S3's clock 20 min ${where} from here on`,
      strikes: on("begin", "PUT", "complete"),
      meanwhile: async () => setClock(offsetMs),
      action: { do: "pass" },
      once: isDone,
    }),
  ),
  {
    name: "answer lost, S3's clock 20 min behind",
    strikes: on("begin"),
    once: isDone,
    meanwhile: async () => setClock(-OFF_MS),
    action: { do: "reset", at: "after" },
  },
  {
    name: "signature expired on its way",
    strikes: on("PUT"),
    once: isDone,
    meanwhile: async () => setClock(OFF_MS),
    action: {
      do: "change",
      change(answer) {
        setClock(0);
        return answer;
      },
    },
  },
];
