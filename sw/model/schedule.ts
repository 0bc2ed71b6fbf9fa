import type { UploadRecord } from "./record.ts";

/** Whose turn comes first: the app's priority, then the order they were added, and of those added together the small ones. */
export function compareTurns(a: UploadRecord, b: UploadRecord): number {
  return (
    b.priority - a.priority || a.createdAt - b.createdAt || a.plan.size - b.plan.size || a.order - b.order
  );
}
