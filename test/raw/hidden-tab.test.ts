import { afterEach, expect, test, vi } from "vitest";
import { partsSentTwice } from "../support/sent-once.ts";
import { addFile, type RawBed, startRawBed } from "./raw-bed.ts";

const MIB = 1024 * 1024;
const MINUTE = 60_000;

let bed: RawBed | undefined;
afterEach(() => bed?.close());

test("a hidden tab, for 12 minutes: the worker never dies, and no part is sent twice", async () => {
  bed = await startRawBed({ linkBytesPerSecond: 0.4 * MIB });
  const tab = await bed.openPage();
  const addedAt = Date.now();
  const file = await addFile(bed, tab, "hidden", 300 * MIB);
  await tab.evaluate(async () => {
    const { scope } = await navigator.serviceWorker.ready;
    const epochs = new Set<string>();
    new BroadcastChannel(`backhaul:${scope}`).onmessage = ({ data }) => epochs.add(data.epoch);
    Object.assign(globalThis, { epochs });
  });
  await tab.hide();
  await vi.waitUntil(() => Date.now() - addedAt > 12 * MINUTE, { timeout: 13 * MINUTE, interval: 1_000 });
  expect(await tab.evaluate("document.visibilityState")).toBe("hidden");
  expect(await tab.evaluate((id: string) => uploads.get(id)?.state, file.id)).toBe("uploading");
  bed.link.setSpeed(20 * MIB);
  await bed.arrives(file.key, 2 * MINUTE);

  // Each life of the worker has a name of its own.
  expect(await tab.evaluate("epochs.size")).toBe(1);
  expect(await bed.sha256(file.key)).toBe(file.sha256);
  expect(partsSentTwice(bed.requests)).toEqual([]);
});
