import { S3Error } from "./errors.ts";
import { MAX_KEY_BYTES } from "./limits.ts";

/**
 * The bucket and key that a path-style URL names. An empty `bucket` is the service, an empty `key` the bucket
 * itself.
 */
export interface RequestTarget {
  readonly bucket: string;
  readonly key: string;
  /** The decoded path, slash first. */
  readonly path: string;
  /** Every parameter, decoded, in the order sent: the signature covers repetitions too. */
  readonly parameters: readonly (readonly [name: string, value: string])[];
  readonly query: ReadonlyMap<string, string>;
}

/** Parses `request.url` by hand: `URL` would fold `.` and `..`, which are legal in object keys. */
export function parseTarget(url: string): RequestTarget {
  const question = url.indexOf("?");
  const path = decode(question === -1 ? url : url.slice(0, question));
  if (!path.startsWith("/")) throw new S3Error("InvalidURI");
  const slash = path.indexOf("/", 1);
  const bucket = slash === -1 ? path.slice(1) : path.slice(1, slash);
  const key = slash === -1 ? "" : path.slice(slash + 1);
  const size = Buffer.byteLength(key);
  if (size > MAX_KEY_BYTES) {
    throw new S3Error("KeyTooLongError", undefined, { Size: size, MaxSizeAllowed: MAX_KEY_BYTES });
  }
  const parameters = question === -1 ? [] : parseParameters(url.slice(question + 1));
  return { bucket, key, path, parameters, query: new Map(parameters) };
}

/** Percent-encoding as SigV4 wants it: all but RFC 3986's unreserved characters. */
export function uriEncode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function parseParameters(query: string): (readonly [string, string])[] {
  return query
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => {
      const equals = pair.indexOf("=");
      const [name, value] = equals === -1 ? [pair, ""] : [pair.slice(0, equals), pair.slice(equals + 1)];
      return [decode(name.replaceAll("+", " ")), decode(value.replaceAll("+", " "))] as const;
    });
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new S3Error("InvalidURI");
  }
}
