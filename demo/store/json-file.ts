import { readFileSync, renameSync, writeFileSync } from "node:fs";

/**
 * Replaces a JSON file in one step. Synchronous on purpose: metadata is small, and a change of memory and disk that
 * never awaits cannot interleave with another request's.
 */
export function writeJson(path: string, value: unknown, mode = 0o666): void {
  writeFileSync(`${path}.tmp`, JSON.stringify(value), { mode });
  renameSync(`${path}.tmp`, path);
}

export function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, "utf8")) as T;
}
