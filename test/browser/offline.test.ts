import { afterEach, expect, test } from "vitest";
import { addRandomFiles, type BrowserBed, finished, startBrowserBed } from "./browser-bed.ts";

const MIB = 1024 * 1024;

let bed: BrowserBed | undefined;
afterEach(() => bed?.close());

test("a file added while offline waits, and goes by itself when the network is back", async () => {
  const started = await startBrowserBed();
  bed = started;
  const page = await started.openPage();
  await started.context.setOffline(true);
  const [added] = await addRandomFiles(page, [{ key: "offline", size: 20 * MIB }]);
  const { id, sha256 } = added as { id: string; sha256: string };
  await page.waitForFunction((wanted) => uploads.get(wanted)?.reason === "offline", id);
  expect(await page.evaluate((wanted) => uploads.get(wanted)?.durability, id)).toBe("stored");
  await started.context.setOffline(false);
  await finished(page, id);
  expect(await started.sha256("offline")).toBe(sha256);
});
