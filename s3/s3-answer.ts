import { StorageFault } from "../src/core/storage.ts";

/** @throws {StorageFault} hopeless, `STORAGE_RESPONSE_INVALID` */
export function required<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw invalidAnswer(`it has no ${what}`);
  return value;
}

export function invalidAnswer(detail: string): StorageFault {
  return new StorageFault("hopeless", "STORAGE_RESPONSE_INVALID", { detail });
}

/** Some engines quote ETags, some don't. */
export function unquote(etag: string): string {
  return etag.replaceAll('"', "");
}
