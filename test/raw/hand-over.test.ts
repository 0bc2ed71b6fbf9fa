import { afterEach, expect, test, vi } from "vitest";
import type { RequestEntry } from "../../demo/store/server.ts";
import {
  addFile,
  isRelayed,
  partsStored,
  type RawBed,
  sentAgainAfter,
  startRawBed,
  untilShare,
} from "./raw-bed.ts";

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
