import { gatewayAnswer, s3Error, withBody, withETag } from "./answers.ts";
import { done, type End, failed, waiting } from "./end.ts";
import type { Action, Fault, Line, NamedRequest } from "./fault.ts";
import type { Target } from "./targets.ts";

/** One kind of fault: a row of the table. */
export interface Kind {
  readonly name: string;
  readonly strikes: (target: Target) => boolean;
  readonly action: Action;
  readonly meanwhile?: Fault["meanwhile"];
  /** How it ends if one request meets it, and if all do; undefined for a target where that is not tried. */
  readonly once?: Ends;
  readonly always?: Ends;
}

type Ends = (target: Target) => End | undefined;
type Code = Extract<End, { state: "failed" }>["code"];

/** What can be done from outside meanwhile. */
export interface Hands {
  /** Drops the multipart upload of a request. */
  readonly abort: (request: NamedRequest) => Promise<void>;
  /** Sets its clock off, by so many milliseconds. */
  readonly setClock: (offsetMs: number) => void;
  /** Gives the worker new headers for the app's server. */
  readonly signIn: () => Promise<void>;
}

const on =
  (...requests: string[]) =>
  ({ request }: Target) =>
    requests.includes(request);
const onLine =
  (...lines: Line[]) =>
  ({ line, request }: Target) =>
    lines.includes(line) && request !== "Preflight";
const isAny = () => true;

const isDone: Ends = () => done;
const fails =
  (code: Code): Ends =>
  () =>
    failed(code);
/** The network's faults have no limit. Behind the server it is the server that knows; and it answers while S3 doesn't. */
const waits: Ends = ({ line }) =>
  waiting(
    "backoff",
    ({ control: "NETWORK", data: "STORAGE_UNREACHABLE", behind: "SERVER_ERROR" } as const)[line],
  );
const passes = { once: isDone, always: isDone };

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
    // What S3 has taken is found there.
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
      // It is given long, since S3 may need it.
      if (request === "complete") return undefined;
      return waiting("backoff", line === "control" ? "STALLED" : "SERVER_ERROR");
    },
  },
];

const rests =
  (code: Code): Ends =>
  () =>
    waiting("backoff", code);

/** The server is to be asked again, for as long as it takes. */
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
  // Behind the server it is the server's trouble, whatever it is.
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

const refusals: readonly Kind[] = [
  {
    name: "401 until setAuth",
    strikes: onLine("control"),
    action: gatewayAnswer(401),
    always: () => waiting("auth", "UNAUTHORIZED"),
  },
  {
    // Whose answer this is, nobody knows: a firewall's, it may be.
    name: "403",
    action: gatewayAnswer(403),
    once: isDone,
    always: rests("SERVER_RESPONSE_INVALID"),
    strikes: (target) => onLine("control")(target) && target.request !== "abort",
  },
  {
    name: "403 AccessDenied",
    strikes: on("PUT"),
    action: s3Error(403, "AccessDenied"),
    once: isDone,
    always: fails("FORBIDDEN"),
  },
  {
    name: "403 AccessDenied to the server",
    action: s3Error(403, "AccessDenied"),
    once: fails("FORBIDDEN"),
    strikes: on("CreateMultipartUpload", "ListParts", "CompleteMultipartUpload", "HeadObject"),
  },
  {
    name: "403 without CORS headers",
    strikes: on("PUT"),
    action: s3Error(403, "AccessDenied", { cors: false }),
    once: isDone,
    always: waits,
  },
  {
    name: "403 RequestTimeTooSkewed",
    strikes: on("PUT"),
    action: s3Error(403, "RequestTimeTooSkewed"),
    once: isDone,
    always: fails("FORBIDDEN"),
  },
  {
    name: "403 SignatureDoesNotMatch",
    action: s3Error(403, "SignatureDoesNotMatch"),
    strikes: on("CreateMultipartUpload", "ListParts", "CompleteMultipartUpload"),
    once: isDone,
    always: rests("SERVER_ERROR"),
  },
  {
    name: "401",
    strikes: on("PUT"),
    action: gatewayAnswer(401),
    once: isDone,
    always: rests("STORAGE_RESPONSE_INVALID"),
  },
  {
    name: "400 InvalidArgument",
    action: s3Error(400, "InvalidArgument"),
    once: fails("FORBIDDEN"),
    strikes: on("PUT", "CreateMultipartUpload", "ListParts", "CompleteMultipartUpload"),
  },
  {
    name: "403 to the preflight",
    strikes: on("Preflight"),
    action: gatewayAnswer(403),
    once: isDone,
    always: waits,
  },
];

/** S3 or the server has acted, and what arrives of its answer is not what it said. */
const unreadable = (name: string, s3Code: Code, change: (body: string) => string): Kind => ({
  name: `answer ${name}`,
  action: withBody(change),
  once: isDone,
  strikes: ({ isAnswered }) => isAnswered,
  always: ({ line, request }) => {
    if (line === "control") return waiting("backoff", "SERVER_RESPONSE_INVALID");
    // It can be seen that S3 has carried it out.
    return request === "CompleteMultipartUpload" ? done : waiting("backoff", s3Code);
  },
});

const malformed: readonly Kind[] = [
  {
    name: "200 from a captive portal",
    strikes: onLine("control"),
    action: gatewayAnswer(200),
    once: isDone,
    always: rests("SERVER_RESPONSE_INVALID"),
  },
  unreadable("truncated", "SERVER_ERROR", (body) => body.slice(0, body.length / 2)),
  unreadable("empty", "STORAGE_RESPONSE_INVALID", () => ""),
  unreadable("of another shape", "STORAGE_RESPONSE_INVALID", (body) =>
    body.startsWith("{") ? '["a"]' : "<a><b>1</b></a>",
  ),
];

const bodies: readonly Kind[] = [
  {
    name: "400 BadDigest",
    strikes: on("PUT"),
    action: s3Error(400, "BadDigest"),
    once: isDone,
    always: rests("BAD_DIGEST"),
  },
  {
    name: "a bit turned over on the way",
    strikes: on("PUT"),
    action: { do: "corrupt" },
    once: isDone,
    always: rests("BAD_DIGEST"),
  },
  {
    name: "200, but not stored",
    strikes: on("PUT"),
    action: { do: "lose" },
    once: isDone,
    always: rests("PARTS_MISMATCH"),
  },
];

const etags: readonly Kind[] = [
  ...(
    [
      ["another ETag", () => `"${"0".repeat(32)}"`],
      ["ETag without quotes", (etag) => etag.replaceAll('"', "")],
      ["weak ETag", (etag) => `W/${etag}`],
      ["empty ETag", () => '""'],
      ["no ETag", () => undefined],
    ] satisfies [string, (etag: string) => string | undefined][]
  ).map(([name, change]) => ({ name, strikes: on("PUT"), action: withETag(change), ...passes })),
  {
    name: "ETags without quotes",
    strikes: on("ListParts"),
    once: isDone,
    action: withBody((body) =>
      body.replaceAll(/(?<=<ETag>).*?(?=<\/ETag>)/g, (etag) => etag.replaceAll(/&quot;|&#34;|"/g, "")),
    ),
  },
];

const signIns = ({ signIn }: Hands): readonly Kind[] => [
  {
    name: "401, and the user signs in meanwhile",
    strikes: onLine("control"),
    once: isDone,
    action: gatewayAnswer(401),
    meanwhile: signIn,
  },
];

const gone = ({ abort }: Hands): readonly Kind[] => [
  {
    name: "NoSuchUpload: dropped by S3",
    action: { do: "pass" },
    meanwhile: abort,
    once: isDone,
    strikes: (target) =>
      target.methods.includes("multipart") && on("PUT", "ListParts", "CompleteMultipartUpload")(target),
    // Begun anew it has no part in doubt.
    always: ({ request }) => (request === "ListParts" ? undefined : waiting("backoff", "UPLOAD_GONE")),
  },
  {
    name: "NoSuchKey for NoSuchUpload",
    meanwhile: abort,
    action: s3Error(404, "NoSuchKey"),
    strikes: on("ListParts"),
    once: isDone,
  },
];

const completes = on("CompleteMultipartUpload");
const completion: readonly Kind[] = [
  {
    name: "200 with an error in it",
    strikes: completes,
    action: s3Error(200, "InternalError"),
    once: isDone,
    always: rests("SERVER_ERROR"),
  },
  {
    name: "400 InvalidPart",
    strikes: completes,
    action: s3Error(400, "InvalidPart"),
    once: isDone,
    always: rests("PARTS_MISMATCH"),
  },
  ...(
    [
      [200, "InternalError"],
      [500, "InternalError"],
      [404, "NoSuchUpload"],
      [404, "NoSuchKey"],
    ] as const
  ).map(([status, code]) => ({
    name: `${status} ${code}, though completed`,
    strikes: completes,
    ...passes,
    action: s3Error(status, code, { acted: true }),
  })),
  ...(
    [
      ["ETag empty in the answer", ""],
      ["ETag without quotes in the answer", "0-4"],
    ] as const
  ).map(([name, etag]) => ({
    name,
    strikes: completes,
    ...passes,
    action: withBody((body) => body.replace(/<ETag>.*<\/ETag>/, `<ETag>${etag}</ETag>`)),
  })),
];

/** Each strikes one upload. */
export const separateFaults = (hands: Hands): readonly Kind[] => [
  ...[...network, ...slow, ...busy, ...refusals, ...malformed, ...bodies, ...etags, ...gone(hands)],
  ...[...signIns(hands), ...completion],
];

/** What they do strikes others too: a part that stalls keeps its place, an outage is one for all. */
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

/** The clock that is set is S3's: to the server and its signatures that is as if it were their own. */
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
