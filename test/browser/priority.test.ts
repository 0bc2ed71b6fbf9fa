import { afterEach, expect, test } from "vitest";
import { addRandomFiles, type BrowserBed, finished, startBrowserBed } from "./browser-bed.ts";

const MIB = 1024 * 1024;

let bed: BrowserBed | undefined;
afterEach(() => bed?.close());

test("an urgent upload is sent first, though it is added when the worker is busy", async () => {
  const started = await startBrowserBed({ linkBytesPerSecond: 4 * MIB });
  bed = started;
  const page = await started.openPage({ parallelParts: 1 });
  const others = await addRandomFiles(
    page,
    ["a", "b", "c"].map((key) => ({ key, size: 60 * MIB })),
  );
  await page.waitForFunction(() => uploads.list().some(({ partsDone }) => partsDone > 0));
  const [urgent] = await addRandomFiles(page, [{ key: "urgent", size: 20 * MIB, priority: 1 }]);
  await finished(page, urgent?.id as string);
  const left = await page.evaluate(() => uploads.list().filter(({ state }) => state !== "done"));
  expect(left.map(({ key }) => key).sort()).toEqual(["a", "b", "c"]);
  // It may be begun by now, so that the browser could carry it, but nothing is sent of it before its turn.
  expect(left.find(({ key }) => key === "c")?.uploadedBytes).toBe(0);
  expect(await started.sha256("urgent")).toBe(urgent?.sha256);
  started.link.setSpeed(100 * MIB);
  for (const { id, key, sha256 } of others) {
    await finished(page, id);
    expect(await started.sha256(key)).toBe(sha256);
  }
});
