/** The longest name that `begin` accepts, in UTF-16 units as JavaScript counts. */
export const MAX_FILE_NAME_LENGTH = 1_024;

// Control characters, line separators, and the marks that turn the direction of text, by which "gpj.exe" poses as "exe.jpg".
const UNSAFE = /[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu;

/** Text of whole characters, without those that only do harm in a name. */
export function cleanText(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\ufffd").replace(UNSAFE, "");
}

/** A file's name as any server accepts it: whatever a disk may call a file, it is no reason to fail. */
export function toFileName(name: string): string {
  const clean = cleanText(name);
  if (clean.length <= MAX_FILE_NAME_LENGTH) return clean;
  const [stem, extension] = splitExtension(clean);
  // Half a character at the cut would be none.
  return cleanText(stem.slice(0, MAX_FILE_NAME_LENGTH - extension.length - 1)) + extension;
}

/** A path's or a name's last extension with its dot, and what comes before it. */
export function splitExtension(path: string): [stem: string, extension: string] {
  const dot = path.lastIndexOf(".");
  // A leading dot makes a hidden file, not an extension; a very long one is part of the name.
  if (dot <= path.lastIndexOf("/") + 1 || path.length - dot > 20) return [path, ""];
  return [path.slice(0, dot), path.slice(dot)];
}
