/**
 * `npm run bench:hours`: thousands of small files that wait for the same hour, over a link of 80 ms, and how soon they are on
 * their way when it comes. A number limits the files: `npm run bench:hours -- 500`.
 */
import type { Page } from "playwright";
import { startBrowserBed } from "../test/browser/browser-bed.ts";
import {
  addPicked,
  countTransactions,
  damagedFiles,
  pickManyFiles,
  untilDone,
} from "../test/browser/many-files.ts";

const COUNT = Number(process.argv[2] ?? 2_000);
const BYTES = 10_000;
const ROUND_TRIP_MS = 80;
/** From the first file to the hour: all are added by then. */
const AHEAD_MS = 30_000;
const HOUR_MS = 3_600_000;

const bed = await startBrowserBed({ onDisk: true, linkOptions: { latencyMs: ROUND_TRIP_MS / 2 } });
try {
  const page = await bed.openPage();
  const files = await pickManyFiles(bed, page, COUNT, BYTES);
  const transactions = await countTransactions(bed.context);

  const opensAt = Date.now() + AHEAD_MS;
  const midnight = new Date(opensAt).setHours(0, 0, 0, 0);
  const from = (opensAt - midnight) / HOUR_MS;
  await addPicked(page, { conditions: { hours: { from, to: (from + 12) % 24 } } });
  await untilWaiting(page, COUNT);
  if (Date.now() > opensAt) throw new Error(`${COUNT} files could not be added within ${AHEAD_MS} ms`);
  const sentBefore = bed.requests.length;
  await untilWaiting(page, 0);
  const beganMs = Date.now() - opensAt;
  const startedAt = performance.now();
  await untilDone(page, COUNT, 1_200_000);
  const sentMs = performance.now() - startedAt;

  const { readonly: reads, readwrite: writes } = await transactions();
  const damaged = await damagedFiles(bed, files);
  console.table([
    { what: "requests to S3 before the hour", measured: String(sentBefore), wanted: "0" },
    {
      what: `none of ${COUNT} waits any more after the hour has come`,
      measured: `${beganMs} ms`,
      wanted: "2,000 ms",
    },
    { what: "all are sent", measured: `${(sentMs / 1_000).toFixed(1)} s`, wanted: "" },
    { what: "transactions per upload", measured: ((reads + writes) / COUNT).toFixed(2), wanted: "3" },
    { what: "files that S3 does not hold as they were", measured: String(damaged.length), wanted: "0" },
  ]);
} finally {
  await bed.close();
}

async function untilWaiting(page: Page, count: number): Promise<void> {
  await page.waitForFunction(
    (count) => uploads.list().filter(({ state }) => state === "waiting").length === count,
    count,
    { polling: 20, timeout: 2 * AHEAD_MS },
  );
}
