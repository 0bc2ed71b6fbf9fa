import type { PagePlatform } from "./platform.ts";

/** Some files take the browser half a millisecond each on a slow device, and a task is to last no longer than 50 ms. */
const ITEMS_PER_SLICE = 16;

/** Does `work` with each of these in turn, in slices between which the browser can do other things. */
export async function inSlices<Item>(
  items: readonly Item[],
  { yieldThread }: Pick<PagePlatform, "yieldThread">,
  work: (item: Item, index: number) => void,
): Promise<void> {
  for (const [index, item] of items.entries()) {
    if (index > 0 && index % ITEMS_PER_SLICE === 0) await yieldThread();
    work(item, index);
  }
}
