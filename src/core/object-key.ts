import { UploadError } from "./errors.ts";
import { cleanText, splitExtension } from "./file-name.ts";
import { S3_LIMITS, type StorageLimits } from "./limits.ts";

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const CONTROL_CHARACTER = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/u;

/**
 * Refuses keys that S3 refuses, and those that mean something else to whatever stands between (`..` and `.` segments are
 * folded away by URL parsers, and the signature would then be for another key).
 *
 * @throws {UploadError} `KEY_INVALID`
 */
export function checkObjectKey(key: string, limits: Pick<StorageLimits, "maxKeyBytes"> = S3_LIMITS): void {
  if (key === "") throw new UploadError("KEY_INVALID", "it is empty");
  if (CONTROL_CHARACTER.test(key)) throw new UploadError("KEY_INVALID", "it has a control character");
  if (key.split("/").some((segment) => segment === ".." || segment === "."))
    throw new UploadError("KEY_INVALID", "it has a '.' or '..' segment");
  if (key.startsWith("/")) throw new UploadError("KEY_INVALID", "it starts with '/'");
  const bytes = utf8Length(key);
  if (bytes > limits.maxKeyBytes)
    throw new UploadError("KEY_INVALID", `it has ${bytes} bytes; the limit is ${limits.maxKeyBytes}`);
}

// The core has no TextEncoder: it may use the language only.
function utf8Length(text: string): number {
  try {
    return encodeURIComponent(text).replace(/%../g, "x").length;
  } catch (cause) {
    throw new UploadError("KEY_INVALID", "it is not well-formed Unicode", { cause });
  }
}

/** S3 takes 1,024 bytes; the rest is room for " (2)" and for a prefix that a server may add. */
const LONGEST_SAFE_KEY_BYTES = 900;

/**
 * A key that is always accepted, for a file's name or its path in a folder: without control characters, empty, "." and ".."
 * segments, and of at most 900 bytes. Two files of the same name get the same key: put something of their own before it, or
 * see `freeKey`.
 */
export function safeKey(path: string): string {
  const segments = cleanText(path.normalize("NFC"))
    .replaceAll("\\", "/")
    .split("/")
    .map((segment) => segment.replace(/\.{2,}/g, ".").trim())
    .filter((segment) => segment !== "" && segment !== ".");
  return shorten(segments.join("/")) || "file";
}

/**
 * `key`, or the first of "name (2).ext", "name (3).ext", … that is not taken. What it is not told of it can't know: objects
 * of other browsers, say; the server's `object: { ifNoneMatch: true }` keeps those from being replaced.
 */
export function freeKey(key: string, isTaken: (key: string) => boolean): string {
  if (!isTaken(key)) return key;
  const [stem, extension] = splitExtension(key);
  for (let count = 2; ; count += 1) {
    const candidate = `${stem} (${count})${extension}`;
    if (!isTaken(candidate)) return candidate;
  }
}

function shorten(key: string): string {
  if (utf8Length(key) <= LONGEST_SAFE_KEY_BYTES) return key;
  const [stem, extension] = splitExtension(key);
  const room = LONGEST_SAFE_KEY_BYTES - utf8Length(extension);
  let kept = "";
  let bytes = 0;
  for (const character of stem) {
    bytes += utf8Length(character);
    if (bytes > room) break;
    kept += character;
  }
  // A cut behind the first dot of ".name" would leave a segment that is refused.
  return kept.replace(/(^|\/)\.?$/, "") + extension;
}
