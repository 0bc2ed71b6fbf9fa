import type { UploadRecord } from "./upload.ts";

/** Whose turn comes first: in the order they were added, and of those added together the small ones. */
export function compareTurns(a: UploadRecord, b: UploadRecord): number {
  return a.createdAt - b.createdAt || a.plan.size - b.plan.size || a.order - b.order;
}
