import { afterEach, expect, test } from "vitest";
import { addRandomFiles, type BrowserBed, finished, startBrowserBed } from "./browser-bed.ts";

const MIB = 1024 * 1024;
// Some 40 s of sending, in which everything below has its time.
const SIZE = 160 * MIB;

// By a timer: in a tab that is behind others there are no animation frames.
const POLL = { polling: 100 };

let bed: BrowserBed | undefined;
afterEach(() => bed?.close());

test("an upload added in one tab is seen moving in the others and controlled from them, its own tab closed or not", async () => {
  const started = await startBrowserBed({ linkBytesPerSecond: 4 * MIB });
  bed = started;
  const [first, second, third] = [
    await started.openPage(),
    await started.openPage(),
    await started.openPage(),
  ];
  const [added] = await addRandomFiles(first, [{ key: "shared", size: SIZE, partSize: 5 * MIB }]);
  const { id, sha256 } = added as { id: string; sha256: string };

  const bytesSeen = (page: typeof first) =>
    page.evaluate((wanted) => uploads.get(wanted)?.uploadedBytes ?? -1, id);
  for (const page of [second, third]) {
    await page.waitForFunction((wanted) => (uploads.get(wanted)?.uploadedBytes ?? 0) > 0, id, POLL);
    const before = await bytesSeen(page);
    await page.waitForFunction(
      ([wanted, bytes]) => (uploads.get(wanted as string)?.uploadedBytes ?? 0) > (bytes as number),
      [id, before] as const,
      POLL,
    );
  }

  await second.evaluate((wanted) => uploads.pause(wanted), id);
  for (const page of [first, third])
    await page.waitForFunction((wanted) => uploads.get(wanted)?.state === "paused", id, POLL);
  await first.close();
  started.link.setSpeed(100 * MIB);
  await third.evaluate((wanted) => uploads.resume(wanted), id);

  expect(await finished(second, id)).toMatchObject({ key: "shared", size: SIZE });
  expect(await finished(third, id)).toMatchObject({ key: "shared", size: SIZE });
  expect(await started.sha256("shared")).toBe(sha256);
});
