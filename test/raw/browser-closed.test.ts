import { afterEach, expect, test } from "vitest";
import { addFile, type RawBed, sentAgainAfter, startRawBed, untilShare } from "./raw-bed.ts";

const MIB = 1024 * 1024;

let bed: RawBed | undefined;
afterEach(() => bed?.close());

test("the browser is closed by its user, all windows at once, and started again with no page of the app", async () => {
  bed = await startRawBed({ linkBytesPerSecond: 8 * MIB });
  const tab = await bed.openPage();
  const file = await addFile(bed, tab, "quit", 200 * MIB);
  await untilShare(tab, file, 0.2);
  const closedAt = Date.now();
  await bed.browser.close();
  await bed.browser.restart();
  await bed.arrives(file.key, 300_000);

  expect(await bed.sha256(file.key)).toBe(file.sha256);
  expect(sentAgainAfter(bed, closedAt)).toEqual([]);
});
