import { afterEach, expect, test, vi } from "vitest";
import type { RequestEntry } from "../../demo/store/server.ts";
import { partsSentTwice } from "../support/sent-once.ts";
import { fetchesUnderWay, openObserver } from "./background-fetches.ts";
import {
  type AddedFile,
  addFile,
  addFiles,
  isRelayed,
  partsStored,
  type RawBed,
  sentAgainAfter,
  startRawBed,
  untilShare,
} from "./raw-bed.ts";
import type { RawTab } from "./raw-tab.ts";

const MIB = 1024 * 1024;

let bed: RawBed | undefined;
afterEach(async () => {
  await bed?.close();
  bed = undefined;
});

test("the only tab is closed: worker and browser bring the upload to its end, with no page", async () => {
  bed = await startRawBed({ linkBytesPerSecond: 40 * MIB });
  const tab = await bed.openPage();
  const file = await addFile(bed, tab, "closed", 1024 * MIB);
  await untilShare(tab, file, 0.3);
  const closedAt = Date.now();
  await tab.close();
  await bed.arrives(file.key, 240_000);

  expect(await bed.sha256(file.key)).toBe(file.sha256);
  expect(sentAgainAfter(bed, closedAt)).toEqual([]);
  console.log(`${((bed.link.bytesSent / file.size - 1) * 100).toFixed(1)} % more bytes than the file has`);
  expect(bed.link.bytesSent).toBeLessThan(1.15 * file.size);
});

test("a link too slow for the worker: it stops once the browser moves, and the browser brings it to its end", async () => {
  bed = await startRawBed({ linkBytesPerSecond: 500_000 });
  const tab = await bed.openPage();
  const file = await addFile(bed, tab, "slow", 192 * MIB);
  await untilShare(tab, file, 0.1);
  const closedAt = Date.now();
  await tab.close();
  await bed.arrives(file.key, 900_000);

  expect(await bed.sha256(file.key)).toBe(file.sha256);
  expect(sentAgainAfter(bed, closedAt)).toEqual([]);
  const last = bed.requests.filter(({ operation, stored }) => operation === "UploadPart" && stored).at(-1);
  expect(last && isRelayed(last)).toBe(true);
  console.log(
    `${((Date.now() - closedAt) / 1_000).toFixed(0)} s after the close, ` +
      `${((bed.link.bytesSent / file.size - 1) * 100).toFixed(1)} % more bytes than the file has`,
  );
});

test("three uploads and two tabs: closing one changes nothing, closing the other hands over all three at once", async () => {
  // Slow enough for the second close to come over 30 s after the last tab was opened: 30 s after any navigation, in any
  // tab, Chromium 156 starts the requests of a Background Fetch that are being sent a second time, and may crash over it.
  bed = await startRawBed({ linkBytesPerSecond: 4 * MIB });
  const started = bed;
  const observer = await openObserver(bed);
  const first = await bed.openPage();
  const second = await bed.openPage();
  const files = await addFiles(
    bed,
    first,
    ["one", "two", "three"].map((key) => ({ key, size: 200 * MIB })),
  );
  const [one] = files as [AddedFile, ...AddedFile[]];
  const ids = files.map(({ id }) => id);
  expect(await isKeeper(first)).toBe(true);
  await second.until((ids: string[]) => ids.every((id) => uploads.get(id)?.state === "uploading"), [ids]);
  await untilShare(second, one, 0.2);

  await first.close();
  await vi.waitUntil(() => isKeeper(second), 30_000);
  // The candidates that the page keeps for a hand-over were fetched before this.
  await untilShare(second, one, 0.6);
  expect(await second.evaluate(() => uploads.list().map(({ state }) => state))).toEqual(
    ids.map(() => "uploading"),
  );
  expect(partsSentTwice(bed.requests)).toEqual([]);
  const closedAt = Date.now();
  await second.close();
  bed.link.setSpeed(20 * MIB);

  const left = await vi.waitUntil(
    async () => {
      const underWay = await fetchesUnderWay(observer);
      return underWay.length > 0 && underWay;
    },
    { timeout: 30_000, interval: 100 },
  );
  expect(left.map((uploads) => [...uploads].sort())).toEqual([[...ids].sort()]);
  await Promise.all(files.map(({ key }) => started.arrives(key, 600_000)));
  for (const { key, sha256 } of files) expect(await bed.sha256(key), key).toBe(sha256);
  // Of what the browser had begun to send when the first tab went, the answer may have come too late to be known.
  const early = bed.requests.filter((put) => put.stored && isRelayed(put) && put.endedAt < closedAt);
  const isEarly = ({ uploadId, partNumber }: RequestEntry) =>
    early.some((put) => put.uploadId === uploadId && put.partNumber === partNumber);
  expect(sentAgainAfter(bed, closedAt).filter((put) => !isEarly(put))).toEqual([]);
});

/** Whether this tab has the keeper's lock. */
function isKeeper(tab: RawTab): Promise<boolean> {
  return tab.evaluate(async () => {
    // A page can't ask for its own id, but it can look who holds a lock of its own.
    const own = crypto.randomUUID();
    const { held = [] } = await navigator.locks.request(own, () => navigator.locks.query());
    const { clientId } = held.find(({ name }) => name === own) ?? {};
    return held.some((lock) => lock.name?.endsWith(" keeper") && lock.clientId === clientId);
  });
}

test("the browser is killed after the hand-over and started again with no page of the app", async () => {
  bed = await startRawBed({ linkBytesPerSecond: 40 * MIB });
  const { requests, browser } = bed;
  const isMoving = (key: string) =>
    requests.some((request) => request.key === key && request.stored && isRelayed(request));
  // The browser may rest for a minute or more before it sends the first byte. Then the worker is through before it, and
  // another upload has to serve.
  for (let attempt = 1; ; attempt++) {
    const tab = await bed.openPage();
    const file = await addFile(bed, tab, `killed-${attempt}`, 1024 * MIB);
    await untilShare(tab, file, 0.3);
    await tab.close();
    const arrives = bed.arrives(file.key, 240_000);
    await vi.waitUntil(() => isMoving(file.key) || isComplete(requests, file.key), 240_000);
    if (isComplete(requests, file.key) && attempt < 4) {
      await arrives;
      continue;
    }
    const before = partsStored(bed, file.key);
    await vi.waitUntil(() => partsStored(bed as RawBed, file.key) >= before + 4, 60_000);
    const killedAt = Date.now();
    await browser.kill();
    expect(isComplete(requests, file.key)).toBe(false);
    await browser.restart();
    await arrives;

    expect(await bed.sha256(file.key)).toBe(file.sha256);
    expect(sentAgainAfter(bed, killedAt).filter((put) => !isRelayed(put))).toEqual([]);
    return;
  }
});

function isComplete(requests: readonly RequestEntry[], key: string): boolean {
  return requests.some((request) => request.key === key && request.operation === "CompleteMultipartUpload");
}
