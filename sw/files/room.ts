import type { Platform } from "../platform/index.ts";

/** Chromium tells no site of more than this, however much there is, so that sites can't tell devices apart by it. */
const MOST_TOLD_BYTES = 10 * 1024 ** 3;

/** Whether IndexedDB may hold so many bytes more, as far as the browser says; a write that fails has the last word. */
export async function hasRoomFor(
  bytes: number,
  { storageEstimate }: Pick<Platform, "storageEstimate">,
): Promise<boolean> {
  const { quota, usage } = await storageEstimate();
  if (quota === undefined || usage === undefined) return true;
  const room = quota - usage;
  return bytes <= room || room >= MOST_TOLD_BYTES;
}
