import { afterEach, expect, test, vi } from "vitest";
import { partsSentTwice } from "../support/sent-once.ts";
import { addFile, partsStored, type RawBed, sentAgainAfter, startRawBed, untilShare } from "./raw-bed.ts";

const MIB = 1024 * 1024;

let bed: RawBed | undefined;
afterEach(async () => {
  await bed?.close();
  bed = undefined;
});

test("the browser is killed with the tab open and started again with no page: the upload goes on by sync", async () => {
  bed = await startRawBed({ linkBytesPerSecond: 8 * MIB });
  const tab = await bed.openPage();
  const file = await addFile(bed, tab, "crash", 300 * MIB);
  await untilShare(tab, file, 0.2);
  const killedAt = Date.now();
  await bed.browser.kill();
  await bed.browser.restart();
  await bed.arrives(file.key, 170_000);

  expect(await bed.sha256(file.key)).toBe(file.sha256);
  expect(sentAgainAfter(bed, killedAt)).toEqual([]);
});

test("the same with more left than a sync has time for: what it has sent counts, and the next page completes it", async () => {
  bed = await startRawBed({ linkBytesPerSecond: 16 * MIB });
  const tab = await bed.openPage();
  const file = await addFile(bed, tab, "long-crash", 192 * MIB, { partSize: 5 * MIB });
  await untilShare(tab, file, 0.1);
  bed.link.setSpeed(0.4 * MIB);
  await bed.browser.kill();
  const stored = partsStored(bed, file.key);
  await bed.browser.restart();
  const restartedAt = Date.now();
  await vi.waitUntil(() => partsStored(bed as RawBed, file.key) > stored + 3, 120_000);
  // A sync has 3 min, and this one's are over.
  await vi.waitUntil(() => Date.now() - restartedAt > 200_000, { timeout: 240_000, interval: 1_000 });
  expect(partsStored(bed, file.key)).toBeLessThan(39);
  const openedAt = Date.now();
  bed.link.setSpeed(16 * MIB);
  await bed.openPage();
  await bed.arrives(file.key, 120_000);

  expect(await bed.sha256(file.key)).toBe(file.sha256);
  expect(sentAgainAfter(bed, openedAt)).toEqual([]);
});

test("without a relay the worker goes on for over 4 min after the close, then stops; the next page completes it", async () => {
  bed = await startRawBed({ linkBytesPerSecond: 16 * MIB });
  const tab = await bed.openPage({ relay: false });
  const file = await addFile(bed, tab, "no-relay", 192 * MIB, { partSize: 5 * MIB });
  await untilShare(tab, file, 0.1);
  bed.link.setSpeed(0.4 * MIB);
  const { requests } = bed;
  const closedAt = Date.now();
  await tab.close();
  const lastPutAfter = () => {
    const puts = requests.filter(({ operation, stored }) => operation === "UploadPart" && stored);
    return (puts.at(-1)?.endedAt ?? closedAt) - closedAt;
  };
  await vi.waitUntil(() => lastPutAfter() > 240_000, { timeout: 330_000, interval: 1_000 });
  // Then it is killed.
  await vi.waitUntil(() => Date.now() - closedAt > 330_000, { timeout: 360_000, interval: 1_000 });
  const stored = partsStored(bed, file.key);
  expect(stored).toBeLessThan(39);
  const openedAt = Date.now();
  bed.link.setSpeed(16 * MIB);
  await bed.openPage({ relay: false });
  await bed.arrives(file.key, 120_000);

  expect(await bed.sha256(file.key)).toBe(file.sha256);
  expect(sentAgainAfter(bed, openedAt)).toEqual([]);
});

test("the link is cut for 90 s, with the tab open and with the tab closed meanwhile: no failed state, and all arrives", async () => {
  bed = await startRawBed({ linkBytesPerSecond: 8 * MIB });
  const tab = await bed.openPage();
  const file = await addFile(bed, tab, "cut", 256 * MIB);
  await tab.evaluate(() => {
    const states: string[] = [];
    Object.assign(globalThis, { states });
    uploads.subscribe((list) => states.push(...list.map(({ state }) => state)));
  });
  await untilShare(tab, file, 0.2);
  await cutFor90Seconds(bed);
  await untilShare(tab, file, 0.5);
  expect(await tab.evaluate("[...new Set(states)].includes('failed')")).toBe(false);
  expect(await tab.evaluate("[...new Set(states)].includes('waiting')")).toBe(true);

  const cut = cutFor90Seconds(bed);
  await tab.close();
  await cut;
  await bed.arrives(file.key, 240_000);
  expect(await bed.sha256(file.key)).toBe(file.sha256);
});

test("a new version of the worker takes over in the middle of an upload", async () => {
  bed = await startRawBed({ linkBytesPerSecond: 8 * MIB });
  const tab = await bed.openPage();
  const file = await addFile(bed, tab, "updated", 200 * MIB);
  await untilShare(tab, file, 0.2);
  await bed.changeWorker();
  await tab.evaluate(async () => {
    const registration = await navigator.serviceWorker.ready;
    await registration.update();
  });
  await tab.until(
    async () => {
      const { active, waiting, installing } = await navigator.serviceWorker.ready;
      return active?.state === "activated" && !waiting && !installing;
    },
    [],
    60_000,
  );
  await bed.arrives(file.key, 120_000);
  expect(await bed.sha256(file.key)).toBe(file.sha256);
  expect(partsSentTwice(bed.requests).filter(({ startedAt }) => startedAt > 0)).toEqual([]);
});

async function cutFor90Seconds({ link }: RawBed): Promise<void> {
  const cutAt = Date.now();
  link.cut();
  await vi.waitUntil(() => Date.now() - cutAt > 90_000, { timeout: 120_000, interval: 500 });
  link.mend();
}
