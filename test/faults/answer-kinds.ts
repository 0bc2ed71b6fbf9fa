/** Answers of S3 and the server: refusals, garbled answers, damaged bodies, and completions that went wrong. */

import { gatewayAnswer, s3Error, withBody, withETag } from "./answers.ts";
import { done, waiting } from "./end.ts";
import { type Code, fails, type Hands, isDone, type Kind, on, onLine, passes, rests, waits } from "./kind.ts";

export const refusals: readonly Kind[] = [
  {
    name: "401 until setAuth",
    strikes: onLine("control"),
    action: gatewayAnswer(401),
    always: () => waiting("auth", "UNAUTHORIZED"),
  },
  {
    // A bare 403 may be a firewall's answer as well as the server's.
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

/** S3 or the server has acted, and its answer arrives garbled. */
const unreadable = (name: string, s3Code: Code, change: (body: string) => string): Kind => ({
  name: `answer ${name}`,
  action: withBody(change),
  once: isDone,
  strikes: ({ isAnswered }) => isAnswered,
  always: ({ line, request }) => {
    if (line === "control") return waiting("backoff", "SERVER_RESPONSE_INVALID");
    // The completed object can be seen at S3.
    return request === "CompleteMultipartUpload" ? done : waiting("backoff", s3Code);
  },
});

export const malformed: readonly Kind[] = [
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

export const bodies: readonly Kind[] = [
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

export const etags: readonly Kind[] = [
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

export const signIns = ({ signIn }: Hands): readonly Kind[] => [
  {
    name: "401, and the user signs in meanwhile",
    strikes: onLine("control"),
    once: isDone,
    action: gatewayAnswer(401),
    meanwhile: signIn,
  },
];

export const gone = ({ abort }: Hands): readonly Kind[] => [
  {
    name: "NoSuchUpload: dropped by S3",
    action: { do: "pass" },
    meanwhile: abort,
    once: isDone,
    strikes: (target) =>
      target.methods.includes("multipart") && on("PUT", "ListParts", "CompleteMultipartUpload")(target),
    // An upload that has begun anew has no part in doubt.
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
export const completion: readonly Kind[] = [
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
