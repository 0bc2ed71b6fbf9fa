const TOKEN = "[\\w!#$%&'*+.^`|~-]+";
const MEDIA_TYPE = new RegExp(`^${TOKEN}/${TOKEN}( *;[\\x20-\\x7e]*)?$`);
// Browsers split the header at commas and take the last type they find: "image/png;a=b,text/html" is a page to them.
// Recorders do write "video/webm;codecs=vp8,opus".
const SECOND_TYPE = /,[^,]*\//;

/**
 * A MIME type as it will be signed, or "" where unknown; null if it is none. It becomes a header, so it is printable ASCII.
 */
export function toMediaType(text: string): string | null {
  // Signature Version 4 folds blanks, and not every engine does so on its side.
  const type = text.trim().replace(/ +/g, " ");
  const isOne = MEDIA_TYPE.test(type) && !SECOND_TYPE.test(type);
  return type === "" || isOne ? type : null;
}

/** @param pattern such as `application/pdf`, or `image/*` for all of a kind */
export function matchesMediaType(type: string, pattern: string): boolean {
  // As whoever gets such an object takes it (RFC 9110, 8.3).
  const essence = (type === "" ? "application/octet-stream" : type).split(";")[0]?.trim().toLowerCase() ?? "";
  const wanted = pattern.toLowerCase();
  return wanted.endsWith("/*") ? essence.startsWith(wanted.slice(0, -1)) : essence === wanted;
}

export function isMediaTypePattern(pattern: string): boolean {
  return new RegExp(`^${TOKEN}/${TOKEN}$`).test(pattern) && /^[^*]+(\/\*)?$/.test(pattern);
}
