import { messageOf } from "../src/core/error-messages.ts";
import type { UploadErrorWire } from "../src/core/errors.ts";
import type { ErrorAnswer, RelayAnswer } from "../src/core/http-api.ts";
import type { FaultKind, StorageFault } from "../src/core/storage.ts";
import type { RequestRefused } from "./refused.ts";
import type { RangeBroken, RangeResult } from "./relay.ts";

const HEADERS = { "cache-control": "no-store", "x-content-type-options": "nosniff" };

export function answer(body: object): Response {
  return Response.json(body, { headers: HEADERS });
}

/** The fault as the client is told: its kind, code and sentence, and nothing of its cause. */
export function answerFault(fault: StorageFault): Response {
  return Response.json(faultBody(fault), { status: statusOf(fault), headers: headersOf(fault) });
}

/** The parts that are stored of a range that was read to its end, and the fault if some are not. */
export function answerRange({ parts, fault }: RangeResult): Response {
  const body = { ...(fault !== null && faultBody(fault)), parts: [...parts] } satisfies RelayAnswer;
  return Response.json(body, { headers: fault === null ? HEADERS : headersOf(fault) });
}

/** The fault that has ended a range, and the parts that are stored nevertheless. */
export function answerBrokenRange({ fault, parts, client }: RangeBroken): Response {
  const headers = headersOf(fault);
  // The rest of the client's body must not be read: of a request that has failed, that can crash Chromium.
  headers.set("connection", "close");
  // 502, as a gateway answers: S3 was busy, not this server.
  const status = client === "slow" ? 408 : fault.kind === "transient" ? 502 : statusOf(fault);
  const body = { ...faultBody(fault), parts: [...parts] } satisfies ErrorAnswer & RelayAnswer;
  return Response.json(body, { status, headers });
}

function faultBody({ kind, code, detail = "" }: StorageFault): ErrorAnswer {
  return errorBody(kind, { code, detail });
}

function headersOf({ retryAfterMs }: StorageFault): Headers {
  const headers = new Headers(HEADERS);
  if (retryAfterMs !== undefined) headers.set("retry-after", String(Math.ceil(retryAfterMs / 1_000)));
  return headers;
}

/**
 * The answer to a request that does not fit the API. The client reads it as malformed, with the HTTP status
 * that says how; a request that only came too slowly is retried.
 */
export function answerRefused(refused: RequestRefused): Response {
  const { status, headers } = refused;
  return Response.json(errorOf(refused), { status, headers: { ...HEADERS, ...headers } });
}

/** The body that says why something was not done. */
export function errorOf(error: StorageFault | RequestRefused): ErrorAnswer {
  if (error.name === "StorageFault") return faultBody(error);
  const { status, detail } = error;
  return status === 408
    ? errorBody("transient", { code: "SERVER_ERROR", detail })
    : errorBody("permanent", { code: "REQUEST_INVALID", detail });
}

function errorBody(kind: FaultKind, { code, detail }: UploadErrorWire): ErrorAnswer {
  // S3's description of a fault can be long.
  const shortened = detail.slice(0, 2_048);
  return { error: { kind, code, message: messageOf({ code, detail: shortened }), detail: shortened } };
}

export function statusOf({ kind, code }: StorageFault): number {
  switch (kind) {
    case "network":
      return 502;
    case "transient":
      return code === "RATE_LIMITED" ? 429 : 503;
    case "unauthorized":
      return code === "FORBIDDEN" ? 403 : 401;
    case "gone":
      return 410;
    case "partsMismatch":
      return 409;
    case "permanent":
      switch (code) {
        case "TOKEN_INVALID":
        case "TOKEN_EXPIRED":
        case "FORBIDDEN":
          return 403;
        case "VERIFICATION_FAILED":
        case "OBJECT_EXISTS":
          return 409;
        case "FILE_TOO_LARGE":
          return 413;
        case "FILE_TYPE_REFUSED":
          return 415;
        case "STORAGE_RESPONSE_INVALID":
          return 502;
        default:
          return 400;
      }
    default:
      return kind satisfies never;
  }
}
