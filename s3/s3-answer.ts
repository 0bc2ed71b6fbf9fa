import { StorageFault } from "../src/core/storage.ts";

/** @throws {StorageFault} transient, `STORAGE_RESPONSE_INVALID` */
export function required<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw invalidAnswer(`it has no ${what}`);
  return value;
}

/** Whatever stood between may be gone at the next try. */
export function invalidAnswer(detail: string): StorageFault {
  return new StorageFault("transient", "STORAGE_RESPONSE_INVALID", { detail });
}

/** Some engines quote ETags, some don't. */
export function unquote(etag: string): string {
  return etag.replaceAll('"', "");
}
