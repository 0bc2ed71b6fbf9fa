/**
 * `npm run bench:many-parts`: whether a part costs the same at the end of 10,000 as at the beginning, and how long a worker
 * needs to find its place in them.
 */
import { startBrowserBed, workerStopper } from "../test/browser/browser-bed.ts";
import { addFromDisk } from "./add-from-disk.ts";

const PARTS = 10_000;
const PART_BYTES = 1_024;

const bed = await startBrowserBed({ minPartBytes: PART_BYTES });
try {
  const page = await bed.openPage({ limits: { minPartBytes: PART_BYTES } });
  const upload = await addFromDisk(bed, page, "many", PARTS * PART_BYTES, { partSize: PART_BYTES });
  await upload.changed(0.95 * PARTS * PART_BYTES);
  const puts = bed.requests.filter(({ operation, stored }) => operation === "UploadPart" && stored);
  const perPart = (from: number, to: number) =>
    ((puts[to]?.endedAt ?? 0) - (puts[from]?.endedAt ?? 0)) / (to - from);
  const first = perPart(100, 1_000);
  const late = perPart(8_500, 9_400);
  console.log(`per part: ${first.toFixed(2)} ms in the first thousand, ${late.toFixed(2)} ms in the last,`);
  console.log(`${(late / first).toFixed(2)} times as long`);

  await (await workerStopper(page))();
  const stoppedAt = performance.now();
  await page.evaluate(() => uploads.pause());
  console.log(`a new worker has read it and answers after ${(performance.now() - stoppedAt).toFixed(0)} ms`);
  await page.evaluate(() => uploads.resume());
  await upload.finished();
} finally {
  await bed.close();
}
