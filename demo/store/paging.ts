import { S3Error } from "./errors.ts";
import { MAX_PAGE_ENTRIES } from "./limits.ts";

export interface Page<T> {
  readonly entries: readonly T[];
  readonly isTruncated: boolean;
  readonly last: T | undefined;
}

/** The first `limit` of what comes after the marker. */
export function pageOf<T>(entries: readonly T[], limit: number): Page<T> {
  const shown = entries.slice(0, limit);
  // With a limit of 0 nothing could ever follow, so S3 does not call that page truncated.
  return { entries: shown, isTruncated: limit > 0 && shown.length < entries.length, last: shown.at(-1) };
}

/** `max-keys`, `max-parts` and `max-uploads`: more than 1,000 counts as 1,000. */
export function pageLimit(query: ReadonlyMap<string, string>, name: string): number {
  return Math.min(wholeNumber(query, name) ?? MAX_PAGE_ENTRIES, MAX_PAGE_ENTRIES);
}

export function wholeNumber(query: ReadonlyMap<string, string>, name: string): number | undefined {
  const value = query.get(name);
  if (value === undefined || value === "") return undefined;
  if (!/^\d{1,10}$/.test(value)) {
    throw new S3Error("InvalidArgument", `Provided ${name} not an integer or within integer range`, {
      ArgumentName: name,
      ArgumentValue: value,
    });
  }
  return Number(value);
}

/** S3 lists keys in the order of their UTF-8 bytes, which for some characters is not that of JavaScript strings. */
export function sortByKey<T extends { readonly key: string }>(entries: Iterable<T>): T[] {
  return Array.from(entries, (entry) => ({ entry, bytes: Buffer.from(entry.key) }))
    .sort((left, right) => left.bytes.compare(right.bytes))
    .map(({ entry }) => entry);
}

export function isKeyAfter(key: string, marker: string): boolean {
  return Buffer.from(key).compare(Buffer.from(marker)) > 0;
}
