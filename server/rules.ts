import { isMediaTypePattern, matchesMediaType } from "../s3/media-type.ts";
import { StorageFault } from "../src/core/storage.ts";

/**
 * Limits on what the app accepts, whoever sends it. They are checked at `begin`, after `authorize` and before
 * S3 is asked; the signatures then hold the upload to its size and type. Rules that depend on the user are
 * for `authorize`.
 */
export interface UploadRules {
  /**
   * Largest file, in bytes. A larger one is refused with 413, `FILE_TOO_LARGE`.
   * @default what the storage takes
   */
  readonly maxBytes?: number;
  /**
   * MIME types: `application/pdf`, or `image/*` for all of a kind; parameters and case don't count. Types in
   * which browsers run script, such as `image/svg+xml` and `text/html`, match only their own name. A file of
   * no known type is `application/octet-stream`. Any other is refused with 415, `FILE_TYPE_REFUSED`. It is
   * the type that the client says, and that the object will be served as; nobody has looked at the bytes.
   * @default any
   */
  readonly types?: readonly string[];
  /**
   * What the whole of the object's key must match, the one that `authorize` gave: `/photos\/.+\.jpe?g/`. Any
   * other is refused with 403, `FORBIDDEN`.
   * @default any that `authorize` allows
   */
  readonly keys?: RegExp;
  /**
   * Uploads that one owner may begin in a minute; all that have no owner share one count. Those above it are
   * told 429, `RATE_LIMITED`, with `Retry-After`, and wait their turn. Counted in this process's memory: with
   * several servers the sum of them is what an owner may begin. For a limit across servers, or on what is
   * open at once, count in `authorize` and return a 429.
   * @default no limit
   */
  readonly beginsPerMinute?: number;
  /**
   * Relayed requests that one owner may have under way at once, counted in this process's memory; uploads
   * without an owner are not counted. A browser has up to six. Those above are told 429, `RATE_LIMITED`, and
   * the worker sends their bytes straight to S3 when it runs again.
   * @default 16
   */
  readonly relaysAtOnce?: number;
}

/** The default of `UploadRules.relaysAtOnce`. */
export const RELAYS_AT_ONCE = 16;

interface Candidate {
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** "" where unknown. */
  readonly type: string;
}

/** @throws {TypeError} if a rule makes no sense */
export function requireRules({ maxBytes, types, keys, beginsPerMinute, relaysAtOnce }: UploadRules): void {
  if (maxBytes !== undefined && !(Number.isSafeInteger(maxBytes) && maxBytes >= 0))
    throw new TypeError(`maxBytes is ${maxBytes}: expected whole bytes`);
  for (const pattern of types ?? [])
    if (!isMediaTypePattern(pattern))
      throw new TypeError(
        `types has ${JSON.stringify(pattern)}: expected such as "application/pdf" or "image/*"`,
      );
  if (keys !== undefined && !(keys instanceof RegExp)) throw new TypeError("keys is not a RegExp");
  for (const [name, count] of Object.entries({ beginsPerMinute, relaysAtOnce }))
    if (count !== undefined && !(Number.isSafeInteger(count) && count >= 1))
      throw new TypeError(`${name} is ${count}: expected a whole number from 1`);
}

/** @throws {StorageFault} permanent: `FILE_TOO_LARGE`, `FILE_TYPE_REFUSED`, `FORBIDDEN` */
export function checkRules({ maxBytes, types, keys }: UploadRules, { key, size, type }: Candidate): void {
  if (maxBytes !== undefined && size > maxBytes)
    throw new StorageFault("permanent", "FILE_TOO_LARGE", {
      detail: `${size} bytes, while ${maxBytes} are allowed`,
    });
  if (types !== undefined && !types.some((pattern) => matchesMediaType(type, pattern)))
    throw new StorageFault("permanent", "FILE_TYPE_REFUSED", { detail: `allowed are ${types.join(", ")}` });
  if (keys !== undefined && !isWhollyMatched(key, keys))
    throw new StorageFault("permanent", "FORBIDDEN", { detail: "no object may have this key" });
}

/** The whole key, as with HTML's `pattern`: a forgotten "^" or "$" would let everything through. */
function isWhollyMatched(key: string, { source, flags }: RegExp): boolean {
  return new RegExp(`^(?:${source})$`, flags.replace(/[gmy]/g, "")).test(key);
}
