import type { IncomingHttpHeaders } from "node:http";
import type { StoredObject } from "./bucket.ts";
import { S3Error } from "./errors.ts";

/** Whether a read should be answered with 304; throws PreconditionFailed if `If-Match` does not hold. */
export function isNotModified(headers: IncomingHttpHeaders, object: StoredObject): boolean {
  const ifMatch = headers["if-match"];
  if (ifMatch !== undefined && !names(ifMatch, object))
    throw new S3Error("PreconditionFailed", undefined, { Condition: "If-Match" });
  const ifNoneMatch = headers["if-none-match"];
  return ifNoneMatch !== undefined && names(ifNoneMatch, object);
}

/** Throws unless a write may replace what is there now. Call it in the very step that writes. */
export function checkWrite(headers: IncomingHttpHeaders, current: StoredObject | undefined): void {
  const ifNoneMatch = headers["if-none-match"];
  if (ifNoneMatch !== undefined && ifNoneMatch !== "*")
    throw new S3Error("NotImplemented", undefined, { Header: "If-None-Match" });
  if (ifNoneMatch !== undefined && current !== undefined) {
    throw new S3Error("PreconditionFailed", undefined, { Condition: "If-None-Match" });
  }
  const ifMatch = headers["if-match"];
  if (ifMatch === undefined) return;
  if (current === undefined) throw new S3Error("NoSuchKey");
  if (!names(ifMatch, current)) throw new S3Error("PreconditionFailed", undefined, { Condition: "If-Match" });
}

function names(condition: string, { etag }: StoredObject): boolean {
  return condition.split(",").some((each) => ["*", etag, `"${etag}"`].includes(each.trim()));
}
