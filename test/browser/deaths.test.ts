import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { writeRandomFile } from "../support/random-file.ts";
import { type Death, partsSentTwice } from "../support/sent-once.ts";
import { type BrowserBed, finished, startBrowserBed, workerStopper } from "./browser-bed.ts";

const MIB = 1024 * 1024;

let bed: BrowserBed | undefined;
afterEach(() => bed?.close());

test("a reload and 20 deaths of the worker, at random moments: each part that S3 had was sent once", async () => {
  const started = await startBrowserBed({ linkBytesPerSecond: 16 * MIB });
  bed = started;
  const page = await started.openPage();
  const path = join(started.folder, "file");
  const size = 300 * MIB;
  const sha256 = await writeRandomFile(path, size);
  await page.setInputFiles("input", path);
  const id = await page.evaluate(() => {
    const [file] = document.querySelector("input")?.files ?? [];
    return uploads.add(file as File, { key: "killed" });
  });

  const stopWorker = await workerStopper(page);
  const deaths: Death[] = [];
  for (let death = 1; death <= 20; death++) {
    // Spread over the upload, each somewhere within its twentieth.
    const bytes = ((death - Math.random()) / 21) * size;
    await page.waitForFunction(
      ([wanted, least]) => (uploads.get(wanted as string)?.estimatedBytes ?? 0) >= (least as number),
      [id, bytes] as const,
      { polling: 20, timeout: 60_000 },
    );
    deaths.push(await stopWorker());
    if (death === 10) {
      await page.reload();
      await page.waitForFunction(() => "uploads" in globalThis);
    }
  }
  expect(await finished(page, id)).toMatchObject({ key: "killed", size });
  expect(await started.sha256("killed")).toBe(sha256);
  expect(partsSentTwice(started.requests, deaths)).toEqual([]);
  expect(deaths).toHaveLength(20);
}, 180_000);
