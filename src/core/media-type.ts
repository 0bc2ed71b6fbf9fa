// The asterisk is left out: Chromium sniffs files that are served as "image/*", and runs the script in them.
export const MEDIA_TYPE_TOKEN = "[\\w!#$%&'+.^`|~-]+";
const MEDIA_TYPE = new RegExp(`^${MEDIA_TYPE_TOKEN}/${MEDIA_TYPE_TOKEN}( *;[\\x20-\\x7e]*)?$`);
// Browsers split the header at commas and take the last type they find: "image/png;a=b,text/html" is a page
// to them. Recorders do write "video/webm;codecs=vp8,opus".
const SECOND_TYPE = /,[^,]*\//;
/**
 * Browsers take what is served as these for whatever its bytes look like (https://mimesniff.spec.whatwg.org).
 */
const SNIFFED = new Set(["unknown/unknown", "application/unknown"]);

export const UNKNOWN_TYPE = "application/octet-stream";

/** The longest type that `begin` accepts, in characters. */
export const MAX_MEDIA_TYPE_LENGTH = 255;

/**
 * A MIME type as it will be signed, or "" where unknown; null if it is none, or one that browsers would not
 * go by. It becomes a header, so it is printable ASCII.
 */
export function toMediaType(text: string): string | null {
  // Signature Version 4 folds blanks, and not every engine does so on its side.
  const type = text.trim().replace(/ +/g, " ");
  if (type === "") return type;
  const isOne = MEDIA_TYPE.test(type) && !SECOND_TYPE.test(type) && !SNIFFED.has(essenceOf(type));
  return isOne && type.length <= MAX_MEDIA_TYPE_LENGTH ? type : null;
}

/** The type without its parameters, as receivers understand it (RFC 9110, 8.3). */
export function essenceOf(type: string): string {
  return (type === "" ? UNKNOWN_TYPE : type).split(";")[0]?.trim().toLowerCase() ?? "";
}
