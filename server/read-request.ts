import { OPERATIONS, type Operation, relayQuery } from "../src/core/http-api.ts";
import type { PartRange } from "../src/core/part-ranges.ts";
import { isEnded, RELAY_TOKEN_HEADER } from "../src/core/relay-url.ts";
import { requireUncompressed } from "./read-body.ts";
import { parseOrRefuse, RequestRefused } from "./refused.ts";

/**
 * The operation that a request asks for, by the last segment of its path.
 *
 * @param basePath the path before that segment; undefined for any
 * @throws {RequestRefused} 404, 405
 */
export function operationOf(request: Request, basePath: string | undefined): Operation {
  const { pathname } = new URL(request.url);
  const at = pathname.lastIndexOf("/");
  const isMounted = basePath === undefined || pathname.slice(0, at) === basePath;
  const operation = OPERATIONS.find((candidate) => candidate === pathname.slice(at + 1));
  if (!isMounted || operation === undefined)
    throw new RequestRefused(404, `the operations are ${OPERATIONS.join(", ")}`);
  const method = operation === "relay" || operation === "probe" ? "PUT" : "POST";
  if (request.method !== method) throw new RequestRefused(405, `use ${method}`, { allow: method });
  return operation;
}

/**
 * Refuses what a browser sends for a page of another origin.
 *
 * A request without either header is let through: it is no browser's, or one of a browser's own transfers,
 * which go to their own origin only.
 *
 * @throws {RequestRefused} 403
 */
export function requireOrigin({ headers }: Request, origins: readonly string[]): void {
  const origin = headers.get("origin");
  if (origin !== null && origins.includes(origin)) return;
  const site = headers.get("sec-fetch-site");
  if (origin !== null || (site !== null && site !== "same-origin"))
    throw new RequestRefused(403, "pages of this origin may not upload here");
}

/**
 * The part range that a relayed request's URL names, and the token in its header. Any content type will do: a
 * form elsewhere can't `PUT`, nor send the header, and a script there must ask first by CORS.
 *
 * @throws {RequestRefused} 400, 411, 415
 */
export function readRelayHead({ url, headers }: Request): RelayHead {
  const query = new URL(url).searchParams;
  const fetchId = query.get("fetch") ?? "";
  const range = parseOrRefuse(Object.fromEntries(query), relayQuery);
  const token = headers.get(RELAY_TOKEN_HEADER) ?? "";
  if (token === "") throw new RequestRefused(400, `the header ${RELAY_TOKEN_HEADER} is missing`);
  requireUncompressed(headers);
  const length = headers.get("content-length");
  if (length === null)
    throw new RequestRefused(411, "the content length is missing, or another parser has read the body");
  if (!/^\d{1,16}$/.test(length)) throw new RequestRefused(400, "the content length is not a number");
  return {
    range,
    fetchId,
    isEnded: isEnded(headers.get("cookie"), fetchId, range.uploadId),
    token,
    contentLength: Number(length),
  };
}

export interface RelayHead {
  readonly range: PartRange;
  /** UUID of the Background Fetch. */
  readonly fetchId: string;
  /** Whether a cookie says that the fetch was ended, or this upload's share in it. */
  readonly isEnded: boolean;
  readonly token: string;
  /** Bytes. */
  readonly contentLength: number;
}
