import type { IncomingHttpHeaders } from "node:http";
import type { RequestTarget } from "./request-target.ts";

/** One request that has ended, answered or not. */
export interface RequestEntry {
  readonly method: string;
  /** S3's name, such as `UploadPart`; `Preflight`; `Unknown` if the request was none of them. */
  readonly operation: string;
  readonly bucket: string;
  readonly key: string;
  readonly uploadId?: string;
  readonly partNumber?: number;
  /** 0 if the client was gone before it could be answered. */
  readonly status: number;
  /** S3's error code. */
  readonly code?: string;
  /** Body bytes off the wire, framing included. */
  readonly bytesReceived: number;
  /** The body has become a part or an object, whether or not the client got to know. */
  readonly stored: boolean;
  /** Milliseconds since the epoch, by the store's clock. */
  readonly startedAt: number;
  readonly endedAt: number;
  /** `user-agent`, `origin`, `sec-fetch-*` and the body's digests, as far as they were sent. */
  readonly headers: Readonly<Record<string, string>>;
}

export function targetFields(
  target: RequestTarget | undefined,
): Pick<RequestEntry, "bucket" | "key" | "uploadId" | "partNumber"> {
  const uploadId = target?.query.get("uploadId");
  const partNumber = target?.query.get("partNumber");
  return {
    bucket: target?.bucket ?? "",
    key: target?.key ?? "",
    ...(uploadId === undefined ? {} : { uploadId }),
    ...(partNumber === undefined ? {} : { partNumber: Number(partNumber) }),
  };
}

const LOGGED: ReadonlySet<string> = new Set(["user-agent", "origin", "content-md5"]);

export function loggedHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const logged = Object.entries(headers).filter(
    ([name]) => LOGGED.has(name) || name.startsWith("sec-fetch-") || name.startsWith("x-amz-checksum-"),
  );
  return Object.fromEntries(logged.map(([name, value]) => [name, String(value)]));
}
