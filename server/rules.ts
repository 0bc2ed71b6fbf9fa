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
   * @default the storage's own limit
   */
  readonly maxBytes?: number;
  /**
   * MIME types that are allowed: `application/pdf`, or `image/*` for all of a kind; parameters and case don't
   * count. Types in which browsers run scripts, such as `image/svg+xml` and `text/html`, match only their own
   * name. A file of unknown type counts as `application/octet-stream`. Any other type is refused with 415,
   * `FILE_TYPE_REFUSED`. The type is the one that the client gave and that the object will be served with;
   * the bytes are not examined.
   * @default any
   */
  readonly types?: readonly string[];
  /**
   * A pattern that the whole of the object's key, as decided by `authorize`, must match:
   * `/photos\/.+\.jpe?g/`. Any other key is refused with 403, `FORBIDDEN`.
   * @default any that `authorize` allows
   */
  readonly keys?: RegExp;
  /**
   * Uploads that one owner may begin in a minute; uploads without an owner share one count. Further ones are
   * answered with 429, `RATE_LIMITED`, and `Retry-After`, and start when allowed. Counted in this process's
   * memory: with several servers, an owner may begin as many on each. For a limit across servers, or on the
   * number of open uploads, count in `authorize` and return a 429.
   * @default no limit
   */
  readonly beginsPerMinute?: number;
  /**
   * Relayed requests that one owner may have under way at once, counted in this process's memory; uploads
   * without an owner are not counted. A browser sends up to six at once. Further ones are answered with 429,
   * `RATE_LIMITED`, and the worker sends their bytes straight to S3 when it next runs.
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

/** @throws {TypeError} if a rule has an invalid value */
export function requireRules({ maxBytes, types, keys, beginsPerMinute, relaysAtOnce }: UploadRules): void {
  if (maxBytes !== undefined && !(Number.isSafeInteger(maxBytes) && maxBytes >= 0))
    throw new TypeError(`maxBytes is ${maxBytes}: expected whole bytes`);
  for (const pattern of types ?? [])
    if (!isMediaTypePattern(pattern))
      throw new TypeError(
        `types has ${JSON.stringify(pattern)}: expected a type such as "application/pdf" or "image/*"`,
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
      detail: `${size} bytes; the limit is ${maxBytes}`,
    });
  if (types !== undefined && !types.some((pattern) => matchesMediaType(type, pattern)))
    throw new StorageFault("permanent", "FILE_TYPE_REFUSED", {
      detail: `allowed types: ${types.join(", ")}`,
    });
  if (keys !== undefined && !isWhollyMatched(key, keys))
    throw new StorageFault("permanent", "FORBIDDEN", { detail: "the server's rules do not allow this key" });
}

/** The whole key, as with HTML's `pattern`: a forgotten "^" or "$" would let everything through. */
function isWhollyMatched(key: string, { source, flags }: RegExp): boolean {
  return new RegExp(`^(?:${source})$`, flags.replace(/[gmy]/g, "")).test(key);
}
