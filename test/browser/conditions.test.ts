import type { CDPSession, Page } from "playwright";
import { afterEach, expect, test, vi } from "vitest";
import { partsSentTwice } from "../support/sent-once.ts";
import { addRandomFiles, type BrowserBed, finished, startBrowserBed, workerStopper } from "./browser-bed.ts";

const MIB = 1024 * 1024;
const FAST = 100 * MIB;

let bed: BrowserBed;
afterEach(() => bed?.close());

const seen = (page: Page, id: string) =>
  page.evaluate((wanted) => {
    const { state, reason, error, nextAttemptAt, attempts } = uploads.get(wanted) ?? {};
    return { state, reason, nextAttemptAt, attempts, code: error?.code, detail: error?.detail };
  }, id);
const untilForbidden = (page: Page, id: string) =>
  page.waitForFunction((wanted) => uploads.get(wanted)?.reason === "conditions", id);
const untilSomeParts = (page: Page, id: string) =>
  page.waitForFunction((wanted) => (uploads.get(wanted)?.partsDone ?? 0) > 0, id);

test.each([
  ["by the worker's own clock", false],
  ["by a page's, should the worker have gone to sleep", true],
])(
  "an upload with a `notBefore` waits for that moment, and then goes on by itself: %s",
  async (_name, worksAgain) => {
    bed = await startBrowserBed();
    const page = await bed.openPage();
    const notBefore = Date.now() + 4_000;
    const [added] = await addRandomFiles(page, [{ key: "later", size: 20 * MIB, conditions: { notBefore } }]);
    const { id, sha256 } = added as { id: string; sha256: string };
    await untilForbidden(page, id);
    expect(await seen(page, id)).toEqual({
      state: "waiting",
      reason: "conditions",
      nextAttemptAt: notBefore,
      attempts: 0,
      code: "CONDITIONS_UNMET",
      detail: "notBefore",
    });
    if (worksAgain) await (await workerStopper(page))();
    await finished(page, id);
    expect(await bed.sha256("later")).toBe(sha256);
    expect(bed.requests.filter(({ key, startedAt }) => key === "later" && startedAt < notBefore)).toEqual([]);
  },
);

test("an upload that may be sent at certain hours only stops when they are over", async () => {
  bed = await startBrowserBed({ linkBytesPerSecond: 2 * MIB });
  const page = await bed.openPage();
  const hours = await page.evaluate(() => {
    const hourAt = (ms: number) => {
      const date = new Date(ms);
      return date.getHours() + date.getMinutes() / 60 + date.getSeconds() / 3_600;
    };
    return { from: hourAt(Date.now() - 3_600_000), to: hourAt(Date.now() + 10_000) };
  });
  const [added] = await addRandomFiles(page, [{ key: "by hours", size: 60 * MIB, conditions: { hours } }]);
  const { id } = added as { id: string };
  await page.waitForFunction((wanted) => uploads.get(wanted)?.state === "uploading", id);
  await untilForbidden(page, id);
  const { nextAttemptAt, ...rest } = await seen(page, id);
  expect(rest).toMatchObject({ state: "waiting", attempts: 0, detail: "hours" });
  expect(nextAttemptAt).toBeGreaterThan(Date.now() + 22 * 3_600_000);
  await vi.waitUntil(async () => {
    const before = bed.link.bytesSent;
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 500)));
    return bed.link.bytesSent === before;
  }, 10_000);
});

test("an upload that needs an unmetered network stops when that is lost, and goes on by itself when it is back", async () => {
  // Desktop systems don't say what a network is; with this Chromium tells its workers, too, what DevTools emulates.
  bed = await startBrowserBed({
    linkBytesPerSecond: 4 * MIB,
    browserArgs: ["--enable-blink-features=NetInfoDownlinkMax"],
  });
  const page = await bed.openPage();
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Network.enable");
  const [added] = await addRandomFiles(page, [
    { key: "by Wi-Fi", size: 40 * MIB, conditions: { unmetered: true } },
    { key: "by any", size: 20 * MIB, priority: -1 },
  ]);
  const { id, sha256 } = added as { id: string; sha256: string };
  await untilSomeParts(page, id);
  await setNetwork(devtools, "cellular4g");
  await untilForbidden(page, id);
  expect(await seen(page, id)).toMatchObject({
    state: "waiting",
    nextAttemptAt: null,
    attempts: 0,
    code: "CONDITIONS_UNMET",
    detail: "unmetered",
  });
  bed.link.setSpeed(FAST);
  await page.waitForFunction(() => uploads.list()[1]?.state === "done");
  expect(await seen(page, id)).toMatchObject({ reason: "conditions" });
  await setNetwork(devtools, "wifi");
  await finished(page, id);
  expect(await bed.sha256("by Wi-Fi")).toBe(sha256);
  expect(partsSentTwice(bed.requests)).toEqual([]);
});

/** The figures are of no effect on the worker, but without them nothing is emulated. */
async function setNetwork(devtools: CDPSession, connectionType: "wifi" | "cellular4g"): Promise<void> {
  const figures = { latency: 1, downloadThroughput: 1e9, uploadThroughput: 1e9 };
  await devtools.send("Network.overrideNetworkState", { offline: false, ...figures, connectionType });
}
