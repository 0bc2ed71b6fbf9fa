/** S3 takes 1,024 bytes; the rest is room for " (2)" and for a prefix that a server may add. */
const LONGEST_KEY_BYTES = 900;

// Control characters, line separators, and the marks that turn the direction of text, by which "gpj.exe" poses as "exe.jpg".
const UNSAFE = /[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu;

/** The object key for a file's name or its path in a dropped folder. */
export function safeKey(path: string): string {
  const segments = path
    .normalize("NFC")
    .replace(/\p{Surrogate}/gu, "\ufffd")
    .replace(UNSAFE, "")
    .replaceAll("\\", "/")
    .split("/")
    .map((segment) => segment.replace(/\.{2,}/g, ".").trim())
    .filter((segment) => segment !== "" && segment !== ".");
  return shorten(segments.join("/") || "file");
}

/** `key`, or "name (2).ext" if it is taken. */
export function freeKey(key: string, isTaken: (key: string) => boolean): string {
  if (!isTaken(key)) return key;
  const [stem, extension] = splitExtension(key);
  for (let count = 2; ; count += 1) {
    const candidate = `${stem} (${count})${extension}`;
    if (!isTaken(candidate)) return candidate;
  }
}

function splitExtension(key: string): [stem: string, extension: string] {
  const dot = key.lastIndexOf(".");
  // A leading dot makes a hidden file, not an extension; a very long one is part of the name.
  if (dot <= key.lastIndexOf("/") + 1 || key.length - dot > 20) return [key, ""];
  return [key.slice(0, dot), key.slice(dot)];
}

function shorten(key: string): string {
  const encoder = new TextEncoder();
  if (encoder.encode(key).length <= LONGEST_KEY_BYTES) return key;
  const [stem, extension] = splitExtension(key);
  const room = LONGEST_KEY_BYTES - encoder.encode(extension).length;
  let kept = "";
  let bytes = 0;
  for (const character of stem) {
    bytes += encoder.encode(character).length;
    if (bytes > room) break;
    kept += character;
  }
  return kept + extension;
}
