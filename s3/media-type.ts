// The asterisk is left out: Chromium sniffs files that are served as "image/*", and runs the script in them.
const TOKEN = "[\\w!#$%&'+.^`|~-]+";
const MEDIA_TYPE = new RegExp(`^${TOKEN}/${TOKEN}( *;[\\x20-\\x7e]*)?$`);
// Browsers split the header at commas and take the last type they find: "image/png;a=b,text/html" is a page
// to them. Recorders do write "video/webm;codecs=vp8,opus".
const SECOND_TYPE = /,[^,]*\//;
/**
 * Browsers take what is served as these for whatever its bytes look like (https://mimesniff.spec.whatwg.org).
 */
const SNIFFED = new Set(["unknown/unknown", "application/unknown"]);

export const UNKNOWN_TYPE = "application/octet-stream";

/**
 * A MIME type as it will be signed, or "" where unknown; null if it is none, or one that browsers would not
 * go by. It becomes a header, so it is printable ASCII.
 */
export function toMediaType(text: string): string | null {
  // Signature Version 4 folds blanks, and not every engine does so on its side.
  const type = text.trim().replace(/ +/g, " ");
  if (type === "") return type;
  const isOne = MEDIA_TYPE.test(type) && !SECOND_TYPE.test(type) && !SNIFFED.has(essenceOf(type));
  return isOne ? type : null;
}

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

/** The type without its parameters, as receivers understand it (RFC 9110, 8.3). */
function essenceOf(type: string): string {
  return (type === "" ? UNKNOWN_TYPE : type).split(";")[0]?.trim().toLowerCase() ?? "";
}
