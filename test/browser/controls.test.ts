import { ListMultipartUploadsCommand } from "@aws-sdk/client-s3";
import type { Page } from "playwright";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { partsSentTwice } from "../support/sent-once.ts";
import { addRandomFiles, type BrowserBed, bytesKept, finished, startBrowserBed } from "./browser-bed.ts";

const MIB = 1024 * 1024;
const FAST = 100 * MIB;

let bed: BrowserBed;
let page: Page;
beforeEach(async () => {
  bed = await startBrowserBed({ linkBytesPerSecond: 4 * MIB });
  page = await bed.openPage();
});
afterEach(() => bed?.close());

/** At this speed it takes some 15 s, of which 5 s are over when the first parts have arrived. */
async function startUpload(key: string, size = 60 * MIB) {
  const [added] = await addRandomFiles(page, [{ key, size }]);
  const { id, sha256 } = added as { id: string; sha256: string };
  await page.waitForFunction((wanted) => (uploads.get(wanted)?.partsDone ?? 0) > 0, id);
  return { id, sha256 };
}

const stateOf = (id: string) => page.evaluate((wanted) => uploads.get(wanted)?.state, id);
const untilState = (id: string, state: string) =>
  page.waitForFunction(([wanted, next]) => uploads.get(wanted as string)?.state === next, [
    id,
    state,
  ] as const);

async function openAtS3(): Promise<number> {
  const { Uploads = [] } = await bed.s3.send(new ListMultipartUploadsCommand({ Bucket: bed.bucket }));
  return Uploads.length;
}

test("pausing stops the bytes; resuming sends only what is missing", async () => {
  const { id, sha256 } = await startUpload("paused");
  await page.evaluate((wanted) => uploads.pause(wanted), id);
  await untilState(id, "paused");
  expect(await page.evaluate((wanted) => uploads.get(wanted)?.reason, id)).toBe("user");
  // The connections' last bytes drain, then nothing moves any more.
  await vi.waitUntil(async () => {
    const before = bed.link.bytesSent;
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 500)));
    return bed.link.bytesSent === before;
  }, 10_000);
  bed.link.setSpeed(FAST);
  await page.evaluate((wanted) => uploads.resume(wanted), id);
  await finished(page, id);
  expect(await bed.sha256("paused")).toBe(sha256);
  expect(partsSentTwice(bed.requests)).toEqual([]);
});

test("canceling aborts the multipart upload at S3 and frees the bytes kept here", async () => {
  const { id } = await startUpload("canceled");
  expect(await openAtS3()).toBe(1);
  const outcome = page.evaluate(
    (wanted) => uploads.finished(wanted).catch((error: { code: string }) => error.code),
    id,
  );
  await page.evaluate((wanted) => uploads.cancel(wanted), id);
  expect(await outcome).toBe("CANCELED");
  await vi.waitUntil(async () => (await openAtS3()) === 0, 10_000);
  await vi.waitUntil(() => bytesKept(page).then(({ length }) => length === 0), 10_000);
  await page.evaluate((wanted) => uploads.remove(wanted), id);
  await page.waitForFunction((wanted) => uploads.get(wanted) === undefined, id);
});

test("a finished upload leaves no bytes here, and can be removed from the list", async () => {
  const { id } = await startUpload("finished");
  bed.link.setSpeed(FAST);
  await finished(page, id);
  await vi.waitUntil(() => bytesKept(page).then(({ length }) => length === 0), 10_000);
  await page.evaluate((wanted) => uploads.remove(wanted), id);
  await page.waitForFunction(() => uploads.list().length === 0);
  await page.reload();
  await page.waitForFunction(() => "uploads" in globalThis);
  expect(await page.evaluate(() => uploads.list().length)).toBe(0);
});

test("a failed upload says why, keeps what S3 has, and goes on from there when it is retried", async () => {
  // This stand-in for S3 refuses every signature.
  const refuse = /partNumber=/;
  await bed.context.route(refuse, (route) =>
    route.fulfill({
      status: 403,
      headers: { "access-control-allow-origin": "*" },
      body: "<Error><Code>AccessDenied</Code></Error>",
    }),
  );
  const [added] = await addRandomFiles(page, [{ key: "retried", size: 20 * MIB }]);
  const { id, sha256 } = added as { id: string; sha256: string };
  await untilState(id, "failed");
  expect(await page.evaluate((wanted) => uploads.get(wanted)?.error?.code, id)).toBe("FORBIDDEN");
  expect(await openAtS3()).toBe(1);
  await bed.context.unroute(refuse);
  bed.link.setSpeed(FAST);
  await page.evaluate((wanted) => uploads.retry(wanted), id);
  await finished(page, id);
  expect(await bed.sha256("retried")).toBe(sha256);
});

test("pausing and resuming without an id concerns all uploads", async () => {
  const added = await addRandomFiles(page, [
    { key: "all/1", size: 30 * MIB },
    { key: "all/2", size: 30 * MIB },
  ]);
  const ids = added.map(({ id }) => id);
  await page.evaluate(() => uploads.pause());
  for (const id of ids) await untilState(id, "paused");
  bed.link.setSpeed(FAST);
  await page.evaluate(() => uploads.resume());
  for (const id of ids) await finished(page, id);
  expect(await Promise.all(ids.map(stateOf))).toEqual(["done", "done"]);
});
