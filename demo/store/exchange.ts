import type { IncomingHttpHeaders } from "node:http";
import type { Readable } from "node:stream";
import type { Payload } from "./authenticate.ts";
import type { Buckets } from "./buckets.ts";
import type { ServerSideEncryption } from "./encryption.ts";
import type { RequestBody } from "./request-body.ts";
import type { RequestTarget } from "./request-target.ts";

/** An authenticated request, as the operations see it. */
export interface Exchange {
  readonly buckets: Buckets;
  readonly target: RequestTarget;
  readonly headers: IncomingHttpHeaders;
  readonly body: RequestBody;
  readonly payload: Payload;
  readonly now: () => number;
  readonly minPartBytes: number;
  readonly sse: ServerSideEncryption | undefined;
  readonly region: string;
  readonly url: string;
}

export interface Answer {
  /** @default 200 */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | number>>;
  readonly body?: string | Readable;
  /** The request's body has become a part or an object. */
  readonly stored?: true;
}

export type Operation = (exchange: Exchange) => Answer | Promise<Answer>;

export function xmlAnswer(body: string, headers: Answer["headers"] = {}): Answer {
  return { headers: { ...headers, "content-type": "application/xml" }, body };
}
