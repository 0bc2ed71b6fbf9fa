import { StorageFault } from "../src/core/storage.ts";

/** @throws {StorageFault} transient, `STORAGE_RESPONSE_INVALID` */
export function required<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw invalidAnswer(`it has no ${what}`);
  return value;
}

/** An answer that is not S3's. It is worth a retry: a proxy that stood between may be gone by then. */
export function invalidAnswer(detail: string): StorageFault {
  return new StorageFault("transient", "STORAGE_RESPONSE_INVALID", { detail });
}

/** An ETag without quotes: some engines quote ETags, some don't. */
export function unquote(etag: string): string {
  return etag.replaceAll('"', "");
}
