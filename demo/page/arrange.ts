import type { UploadSnapshot } from "backhaul";

/** Files that were picked together come into the list within this time. */
const SAME_PICK_MS = 1_000;

/** The newest pick on top, where people look for what they just did; within a pick, what goes first stands first. */
export function arrange(uploads: readonly UploadSnapshot[]): UploadSnapshot[] {
  const arranged: UploadSnapshot[] = [];
  let end = uploads.length;
  for (let index = uploads.length - 1; index >= 0; index -= 1) {
    const before = uploads[index - 1];
    const gapMs = before ? (uploads[index] as UploadSnapshot).createdAt - before.createdAt : Infinity;
    if (Math.abs(gapMs) <= SAME_PICK_MS) continue;
    for (let member = index; member < end; member += 1) arranged.push(uploads[member] as UploadSnapshot);
    end = index;
  }
  return arranged;
}
