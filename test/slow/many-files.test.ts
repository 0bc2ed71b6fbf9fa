import { afterEach, expect, test } from "vitest";
import { type BrowserBed, startBrowserBed } from "../browser/browser-bed.ts";
import {
  addPicked,
  countTransactions,
  damagedFiles,
  pickManyFiles,
  untilDone,
} from "../browser/many-files.ts";

const COUNT = 5_000;
const WAITING = 2_000;
const BYTES = 10_000;
const LATENCY_MS = 40;

let bed: BrowserBed;
afterEach(() => bed?.close());

test("5,000 small files added at once over a slow link all arrive as they were", async () => {
  bed = await startBrowserBed({ onDisk: true, linkOptions: { latencyMs: LATENCY_MS } });
  const page = await bed.openPage();
  const files = await pickManyFiles(bed, page, COUNT, BYTES);
  await addPicked(page);
  await untilDone(page, COUNT, 850_000);
  expect(await damagedFiles(bed, files)).toEqual([]);
});

test("2,000 files that wait for an hour begin together, for fewer than three transactions each", async () => {
  bed = await startBrowserBed({ onDisk: true, linkOptions: { latencyMs: LATENCY_MS } });
  const page = await bed.openPage();
  await pickManyFiles(bed, page, WAITING, BYTES);
  const transactions = await countTransactions(bed.context);
  const notBefore = Date.now() + 60_000;
  await addPicked(page, { conditions: { notBefore } });
  await page.waitForFunction(
    (count) => uploads.list().filter(({ reason }) => reason === "conditions").length === count,
    WAITING,
  );
  const { readonly: reads, readwrite: writes } = await transactions();
  expect(reads + writes).toBeLessThan(3 * WAITING);
  console.log(`${((reads + writes) / WAITING).toFixed(2)} transactions per upload until all wait`);
  await page.waitForFunction(() => uploads.list().every(({ reason }) => reason !== "conditions"), undefined, {
    timeout: 120_000,
    polling: 50,
  });
  console.log(`all have begun ${Date.now() - notBefore} ms after their hour`);
  const all = await transactions();
  expect(all.readonly + all.readwrite).toBeLessThan(3 * WAITING);
  const tooEarly = bed.requests.filter(({ startedAt }) => startedAt < notBefore);
  expect(tooEarly.filter(({ operation }) => operation === "PutObject")).toEqual([]);
});
