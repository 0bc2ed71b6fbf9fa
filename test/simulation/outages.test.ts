import { expect, test } from "vitest";
import { runHistory } from "./history.ts";
import type { Happening } from "./scenario.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const GB = 1_000_000_000;

/** Most of the large file's parts. */
const LARGE_PARTS = 10_000;

/** A queue with one large file, half sent when the outage begins, and many small ones. */
async function queueInOutage(uploads: number, outage: Happening, outageMs: number) {
  const small = Array.from({ length: uploads - 1 }, () => 1_500);
  const begin = outage.at;
  const happenings: Happening[] = [
    { at: 0, type: "openTab" },
    { at: 1_000, type: "add", tab: 0, sizes: [100 * GB], parts: LARGE_PARTS, lane: "worker", hours: null },
    { at: begin - 1_000, type: "add", tab: 0, sizes: small, lane: "worker", hours: null },
    outage,
  ];
  const { violations, requestsAt } = await runHistory({
    seed: uploads,
    auth: "none",
    hasBackgroundFetch: false,
    linkBytesPerMs: 250_000,
    diskBytesPerMs: 50_000_000,
    happenings,
  });
  // What was on its way when the outage began is over a little later.
  const during = requestsAt.filter((at) => at > begin + 5_000 && at < begin + outageMs).length;
  return { violations, during, parts: LARGE_PARTS + uploads - 1 };
}

// That each upload ends `done`, that nothing S3 has is sent again, and that nothing is aborted, every history is watched for.
test.each([
  [200, "server", "503", MINUTE],
  [200, "server", "503RetryAfter", MINUTE],
  [200, "server", "503", 2 * HOUR],
  [200, "s3", "503", 2 * HOUR],
  [200, "server", "503", 24 * HOUR],
  [200, "s3", "503", 24 * HOUR],
  [200, "server", "page403", 10 * MINUTE],
  [200, "s3", "page403", 10 * MINUTE],
  [5_000, "server", "503", 2 * HOUR],
] as const)(
  "%d uploads outlive a %s that answers %s for %d ms, with few requests meanwhile",
  async (uploads, origin, mode, forMs) => {
    const outage: Happening = { at: MINUTE, type: "origin", origin, mode, forMs };
    const { violations, during, parts } = await queueInOutage(uploads, outage, forMs);
    expect(violations).toEqual([]);
    expect(during).toBeLessThan(parts * 0.02);
  },
);

test("200 uploads outlive an hour in which the link is a thousand times slower", async () => {
  const slow: Happening = { at: MINUTE, type: "slowLink", bytesPerMs: 250, forMs: HOUR };
  expect((await queueInOutage(200, slow, HOUR)).violations).toEqual([]);
});

test("a gateway that lets 100 requests a minute pass brings 500 files to their end", async () => {
  const sizes = Array.from({ length: 500 }, () => 1_500);
  const { violations } = await runHistory({
    seed: 500,
    auth: "none",
    hasBackgroundFetch: false,
    linkBytesPerMs: 1_000,
    diskBytesPerMs: 5_000,
    happenings: [
      { at: 0, type: "openTab" },
      { at: 500, type: "origin", origin: "server", mode: "gateway", forMs: HOUR },
      { at: 1_000, type: "add", tab: 0, sizes, lane: "worker", hours: null },
    ],
  });
  expect(violations).toEqual([]);
});
