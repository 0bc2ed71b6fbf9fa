import { afterEach, expect, test } from "vitest";
import { partsSentTwice } from "../support/sent-once.ts";
import { addRandomFiles, type BrowserBed, finished, startBrowserBed } from "./browser-bed.ts";

const KIB = 1024;

let bed: BrowserBed | undefined;
afterEach(() => bed?.close());

test("200 small files added at once arrive, and pages hear at most 10 broadcasts a second", async () => {
  const started = await startBrowserBed();
  bed = started;
  const page = await started.openPage();
  await page.evaluate(async () => {
    const { scope } = (await navigator.serviceWorker.getRegistration()) as ServiceWorkerRegistration;
    const channel = new BroadcastChannel(`backhaul:${scope}`);
    const times: number[] = [];
    channel.onmessage = () => times.push(performance.now());
    Object.assign(globalThis, { broadcastTimes: times });
  });
  const files = Array.from({ length: 200 }, (_, index) => ({
    key: `small/${index}`,
    size: (index + 1) * KIB,
  }));
  const added = await addRandomFiles(page, files);
  await Promise.all(added.map(({ id }) => finished(page, id)));

  for (const { key, sha256 } of added) expect(await started.sha256(key)).toBe(sha256);
  expect(partsSentTwice(started.requests)).toEqual([]);
  const times = await page.evaluate(
    () => (globalThis as unknown as { broadcastTimes: number[] }).broadcastTimes,
  );
  expect(times.length).toBeGreaterThan(0);
  // Over the whole time: arrivals may bunch where the machine is busy.
  const seconds = ((times.at(-1) ?? 0) - (times[0] ?? 0)) / 1_000;
  expect(times.length - 1).toBeLessThanOrEqual(10 * seconds);
});
