import { essenceOf, MEDIA_TYPE_TOKEN as TOKEN } from "../src/core/media-type.ts";

export { toMediaType, UNKNOWN_TYPE } from "../src/core/media-type.ts";

/** Whether this is a header value that Signature Version 4 leaves as it is. */
export function isFoldedText(text: string): boolean {
  return /^[\x21-\x7e]+( [\x21-\x7e]+)*$/.test(text);
}

/**
 * @param pattern such as `application/pdf`, or `image/*` for all of a kind in which browsers run no script:
 *   an image of the type `image/svg+xml` matches only its own name
 */
export function matchesMediaType(type: string, pattern: string): boolean {
  const essence = essenceOf(type);
  const wanted = pattern.toLowerCase();
  if (!wanted.endsWith("/*")) return essence === wanted;
  return essence.startsWith(wanted.slice(0, -1)) && !isActiveType(type);
}

/** Whether browsers run script in what is served as this type, or take it for a script. */
export function isActiveType(type: string): boolean {
  return /^text\/(html|xsl)$|(^|[/+])xml$|(java|ecma|j|live)script/.test(essenceOf(type));
}

export function isMediaTypePattern(pattern: string): boolean {
  return new RegExp(`^${TOKEN}/(${TOKEN}|\\*)$`).test(pattern);
}

/** Whether both say the same, for engines that write case and blanks their own way. */
export function isSameMediaType(a: string, b: string): boolean {
  const normalized = (type: string) => type.replace(/\s+/g, "").toLowerCase();
  return normalized(a) === normalized(b);
}
