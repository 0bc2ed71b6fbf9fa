import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { addFile, addFiles, isRelayed, type RawBed, startRawBed, untilShare } from "./raw-bed.ts";
import type { RawTab } from "./raw-tab.ts";

const MIB = 1024 * 1024;

let bed: RawBed | undefined;
afterEach(async () => {
  await bed?.close();
  bed = undefined;
});

/** Opens the usage page with options of the page's own. */
async function openPage({ browser, url }: RawBed, options: object): Promise<RawTab> {
  const tab = await browser.open(`${url}#${encodeURIComponent(JSON.stringify(options))}`);
  await tab.until("'uploads' in globalThis");
  return tab;
}

/** Waits until the relay has stored something of these objects. */
async function untilRelayed({ requests }: RawBed): Promise<void> {
  await vi.waitUntil(() => requests.some((request) => request.stored && isRelayed(request)), {
    timeout: 180_000,
    interval: 100,
  });
}

test("an app with bearer tokens: closed, killed and started with no page, its upload is completed and verified", async () => {
  bed = await startRawBed({
    linkBytesPerSecond: 2 * MIB,
    handler: {
      authorize: ({ headers }, { key }) =>
        headers.get("authorization") === "Bearer alice"
          ? { key, owner: "alice" }
          : new Response(null, { status: 401 }),
    },
  });
  await writeFile(join(bed.folder, "app", "auth.json"), JSON.stringify({ authorization: "Bearer alice" }));
  const tab = await openPage(bed, { authFrom: "/auth.json" });
  const file = await addFile(bed, tab, "bearer", 96 * MIB);
  await untilShare(tab, file, 0.1);
  await tab.close();
  await untilRelayed(bed);
  // The next worker has never seen a page, and so no token.
  await bed.browser.kill();
  await bed.browser.restart();
  bed.link.setSpeed(20 * MIB);
  await bed.arrives(file.key, 300_000);
  expect(await bed.sha256(file.key)).toBe(file.sha256);
});

test("files that are queued as the last tab closes at the first of them arrive with no page", async () => {
  bed = await startRawBed({ linkBytesPerSecond: 4 * MIB });
  const started = bed;
  const tab = await bed.openPage();
  const keys = Array.from({ length: 40 }, (_, index) => `queued-${index}`);
  const files = await addFiles(
    bed,
    tab,
    keys.map((key) => ({ key, size: 5 * MIB })),
  );
  await tab.until(() => uploads.list().every(({ state }) => state !== "queued"), [], 30_000);
  const doneBefore = await tab.evaluate(() => uploads.list().filter(({ state }) => state === "done").length);
  expect(doneBefore).toBeLessThan(20);
  await tab.close();
  await untilRelayed(bed);
  await bed.browser.kill();
  await bed.browser.restart();
  bed.link.setSpeed(20 * MIB);
  await Promise.all(files.map(({ key }) => started.arrives(key, 400_000)));
  for (const { key, sha256 } of files) expect(await bed.sha256(key), key).toBe(sha256);
});

test("a page that is hidden and killed with no event more, as an app that is swiped away: its upload goes on", async () => {
  bed = await startRawBed({ linkBytesPerSecond: 2 * MIB });
  const tab = await openPage(bed, { handOver: "hidden" });
  const file = await addFile(bed, tab, "swiped", 96 * MIB);
  await untilShare(tab, file, 0.1);
  await tab.hide();
  await untilRelayed(bed);
  await bed.browser.kill();
  await bed.browser.restart();
  bed.link.setSpeed(20 * MIB);
  await bed.arrives(file.key, 300_000);
  expect(await bed.sha256(file.key)).toBe(file.sha256);
});
