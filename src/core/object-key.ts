import { UploadError } from "./errors.ts";
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
