import { afterEach, expect, test } from "vitest";
import { addRandomFiles, type BrowserBed, finished, startBrowserBed } from "./browser-bed.ts";

const KIB = 1024;
const MOST = 3;

let bed: BrowserBed | undefined;
afterEach(() => bed?.close());

test("a store that takes three parts at once is sent no more, after it has said so a few times", async () => {
  const started = await startBrowserBed({
    minPartBytes: 64 * KIB,
    mostPuts: MOST,
    // Slow enough for parts to overlap, and each connection brings as much as the others.
    linkOptions: { connectionBytesPerSecond: 512 * KIB },
  });
  bed = started;
  const page = await started.openPage({ limits: { minPartBytes: 64 * KIB } });
  const [added] = await addRandomFiles(page, [{ key: "slowed", size: 20_000 * KIB, partSize: 64 * KIB }]);
  const { id, sha256 } = added as { id: string; sha256: string };
  await finished(page, id);

  expect(await started.sha256("slowed")).toBe(sha256);
  const puts = started.requests.filter(({ operation }) => operation === "UploadPart");
  const refused = puts.filter(({ code }) => code === "SlowDown");
  expect(puts.length - refused.length).toBe(313);
  // The worker did try for more.
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.length / puts.length).toBeLessThan(0.05);
});
