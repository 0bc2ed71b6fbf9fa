import { readFileSync } from "node:fs";
import type { Scenario } from "./scenario.ts";

/** A history that once found a fault, kept as it was, since other dice make another history of the same seed. */
export interface FoundHistory {
  readonly fault: string;
  readonly scenario: Scenario;
}

/** Histories that must never break a rule again; one a line, as `--seed` prints it. */
export function foundHistories(): readonly FoundHistory[] {
  const lines = readFileSync(new URL("found.jsonl", import.meta.url), "utf8")
    .trim()
    .split("\n");
  return lines.map((line) => JSON.parse(line) as FoundHistory);
}
