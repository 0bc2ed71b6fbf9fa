/**
 * What outlives its page, in Chromium with no debugger on the worker: hours at full size, so that only `npm run test:lifetimes`
 * runs it. It prints a table at the end.
 */
import { setTimeout as delay } from "node:timers/promises";
import { HeadObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, afterEach, describe, expect, test, vi } from "vitest";
import {
  type AddedFile,
  addFile,
  addFiles,
  isRelayed,
  type RawBed,
  startRawBed,
  untilShare,
} from "../raw/raw-bed.ts";
import {
  Browsing,
  bytesWithin,
  counted,
  FILE_BYTES,
  MIB,
  RUNS,
  table,
  untilCarried,
} from "./lifetime-run.ts";

const LINK = { linkBytesPerSecond: 4_000_000 };
const LONG_MS = 3_600_000;

let bed: RawBed | undefined;
let browsing: Browsing | undefined;

afterEach(async () => {
  await browsing?.stop();
  await bed?.close();
  browsing = undefined;
  bed = undefined;
});

afterAll(() => console.log(`\n${table()}\n`));

async function started(options: Parameters<typeof startRawBed>[0] = LINK): Promise<RawBed> {
  bed = await startRawBed(options);
  return bed;
}

async function browse(bed: RawBed): Promise<void> {
  browsing = new Browsing();
  await browsing.start(bed);
}

async function expectWhole(bed: RawBed, files: readonly AddedFile[]): Promise<void> {
  for (const { key, sha256 } of files) {
    await bed.arrives(key, LONG_MS);
    expect(await bed.sha256(key), key).toBe(sha256);
  }
}

const isThere = ({ s3, bucket }: RawBed, key: string) =>
  s3.send(new HeadObjectCommand({ Bucket: bucket, Key: key })).then(
    () => true,
    () => false,
  );

const runs = Array.from({ length: RUNS }, (_, index) => index + 1);

describe("closed at 10 %", () => {
  test.each(runs)("while its user browses elsewhere (%i)", async () => {
    const bed = await started();
    const tab = await bed.openPage();
    const file = await addFile(bed, tab, "browsing", FILE_BYTES);
    await counted("closed, a page of another origin every 33 s", bed, [file], async () => {
      await untilShare(tab, file, 0.1);
      await tab.close();
      await browse(bed);
      await expectWhole(bed, [file]);
    });
    expect(bed.link.bytesSent / file.size).toBeLessThan(1.1);
  });

  test.each(runs)("and opened and closed every 60 s (%i)", async () => {
    const bed = await started();
    const tab = await bed.openPage();
    const file = await addFile(bed, tab, "reopened", FILE_BYTES);
    await counted("the app itself opened and closed every 60 s", bed, [file], async () => {
      await untilShare(tab, file, 0.1);
      await tab.close();
      while (!(await isThere(bed, file.key))) {
        await delay(30_000);
        const again = await bed.openPage();
        await delay(30_000);
        await again.close();
      }
      await expectWhole(bed, [file]);
    });
    expect(bed.link.bytesSent / file.size).toBeLessThan(1.1);
  });

  test.each(runs)("and the browser killed in the middle (%i)", async () => {
    const bed = await started();
    const tab = await bed.openPage();
    const file = await addFile(bed, tab, "killed", FILE_BYTES);
    await counted("closed, killed in the middle, browsing", bed, [file], async () => {
      await untilShare(tab, file, 0.1);
      await tab.close();
      await browse(bed);
      await vi.waitUntil(() => bed.link.bytesSent > file.size / 2, LONG_MS);
      await bed.browser.kill();
      await bed.browser.restart();
      await expectWhole(bed, [file]);
    });
    expect(bed.link.bytesSent / file.size).toBeLessThan(1.15);
  });
});

describe("carried by the browser with its page open", () => {
  test.each(runs)("a pause stops it within 2 s, and it goes on after it (%i)", async () => {
    const bed = await started();
    const tab = await bed.openPage();
    const file = await addFile(bed, tab, "paused", FILE_BYTES, { lane: "browser" });
    await counted("paused and resumed, browsing", bed, [file], async () => {
      await untilCarried(tab, file.id);
      await browse(bed);
      await vi.waitUntil(() => bed.requests.some((put) => put.stored && isRelayed(put)), LONG_MS);
      await tab.evaluate((id: string) => uploads.pause(id), file.id);
      await delay(2_000);
      // Each of its other requests is refused by its head; a little of its body is on its way by then.
      expect(await bytesWithin(bed, 75_000)).toBeLessThan(0.01 * file.size);
      await tab.evaluate((id: string) => uploads.resume(id), file.id);
      await expectWhole(bed, [file]);
    });
    expect(bed.link.bytesSent / file.size).toBeLessThan(1.15);
  });

  test.each(runs)("one of five is canceled: the others arrive (%i)", async () => {
    const bed = await started();
    const tab = await bed.openPage();
    const size = Math.ceil(FILE_BYTES / 5);
    const wanted = ["one", "two", "three", "four", "five"].map((key) => ({ key, size }));
    const files = await addFiles(bed, tab, wanted, { lane: "browser" });
    const canceled = files.at(-1) as AddedFile;
    await counted("one of five canceled, browsing", bed, files, async () => {
      await untilCarried(tab, canceled.id);
      await browse(bed);
      await vi.waitUntil(() => bed.requests.some((put) => put.stored && isRelayed(put)), LONG_MS);
      await tab.evaluate((id: string) => uploads.cancel(id), canceled.id);
      await tab.close();
      await expectWhole(
        bed,
        files.filter((file) => file !== canceled),
      );
      // What was held of it is refused by now, and the browser has ended all of it.
      await delay(40_000);
      expect(bed.browser.failure).toBeUndefined();
      expect(await isThere(bed, canceled.key)).toBe(false);
    });
  });

  test.each(runs)("its user signs out in the middle (%i)", async () => {
    const bed = await started();
    const tab = await bed.openPage();
    const file = await addFile(bed, tab, "signed-out", FILE_BYTES, { lane: "browser" });
    await counted("signed out in the middle, browsing", bed, [file], async () => {
      await untilCarried(tab, file.id);
      await browse(bed);
      await vi.waitUntil(() => bed.requests.some((put) => put.stored && isRelayed(put)), LONG_MS);
      await tab.evaluate(() => uploads.setOwner("another user"));
      await delay(2_000);
      expect(await bytesWithin(bed, 75_000)).toBeLessThan(0.01 * file.size);
      expect(bed.browser.failure).toBeUndefined();
      await tab.evaluate(() => uploads.setOwner(""));
      await expectWhole(bed, [file]);
    });
  });
});

test.each(runs)("a link of 300 kB/s, closed, while its user browses elsewhere (%i)", async () => {
  const bed = await started();
  const tab = await bed.openPage();
  const file = await addFile(bed, tab, "slow", 100 * MIB);
  await counted("300 kB/s, a page of another origin every 33 s", bed, [file], async () => {
    await untilShare(tab, file, 0.1);
    bed.link.setSpeed(300_000);
    await delay(15_000);
    await tab.close();
    await browse(bed);
    await delay(600_000);
    expect(bed.browser.failure).toBeUndefined();
    bed.link.setSpeed(4_000_000);
    await expectWhole(bed, [file]);
  });
});
