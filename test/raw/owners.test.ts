import { afterEach, expect, test } from "vitest";
import { addFile, partsStored, type RawBed, startRawBed } from "./raw-bed.ts";

const MIB = 1024 * 1024;

let bed: RawBed | undefined;
afterEach(async () => {
  await bed?.close();
  bed = undefined;
});

test("uploads that were handed over are taken back when their user signs out, and go on when the user is back", async () => {
  bed = await startRawBed({ linkBytesPerSecond: 8 * MIB });
  const tab = await bed.openPage();
  await tab.evaluate(() => uploads.setOwner("ann"));
  const file = await addFile(bed, tab, "ann's", 200 * MIB, { lane: "browser" });
  await tab.until((id: string) => uploads.get(id)?.lane === "browser", [file.id], 60_000);
  await tab.evaluate(() => uploads.setOwner("ben"));
  bed.link.setSpeed(100 * MIB);
  // The browser may rest for long before it finds out that nobody takes its bytes any more.
  await tab.until(noFetchLeft, [], 600_000);
  const stored = partsStored(bed, file.key);
  expect(stored).toBeLessThan(20);
  const other = await addFile(bed, tab, "ben's", 40 * MIB, { lane: "worker" });
  await bed.arrives(other.key, 60_000);
  expect(partsStored(bed, file.key)).toBe(stored);
  await tab.evaluate(() => uploads.setOwner("ann"));
  await bed.arrives(file.key, 600_000);
  expect(await bed.sha256(file.key)).toBe(file.sha256);
});

async function noFetchLeft(): Promise<boolean> {
  type Manager = { readonly backgroundFetch: { getIds(): Promise<readonly string[]> } };
  const registration: unknown = await navigator.serviceWorker.ready;
  return (await (registration as Manager).backgroundFetch.getIds()).length === 0;
}
