import { expect, test } from "vitest";
import { runHistory } from "./history.ts";
import type { Happening } from "./scenario.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const GB = 1_000_000_000;

type Mode = Extract<Happening, { type: "origin" }>["mode"];

/** Most of the large file's parts. */
const LARGE_PARTS = 10_000;

/** A queue with one large file, half sent when the outage begins, and many small ones. */
async function queueInOutage(uploads: number, mode: Mode, origin: "server" | "s3", outageMs: number) {
  const small = Array.from({ length: uploads - 1 }, () => 1_500);
  const begin = 60_000;
  const happenings: Happening[] = [
    { at: 0, type: "openTab" },
    { at: 1_000, type: "add", tab: 0, sizes: [100 * GB], parts: LARGE_PARTS, lane: "worker", hours: null },
    { at: begin - 1_000, type: "add", tab: 0, sizes: small, lane: "worker", hours: null },
    { at: begin, type: "origin", origin, mode, forMs: outageMs },
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

test.each([
  [200, "503", "server", MINUTE],
  [200, "503", "server", 2 * HOUR],
  [200, "503", "s3", 2 * HOUR],
  [200, "503RetryAfter", "server", MINUTE],
  [200, "page403", "server", 10 * MINUTE],
  [200, "page403", "s3", 10 * MINUTE],
  [200, "503", "server", 24 * HOUR],
  [200, "503", "s3", 24 * HOUR],
  [5_000, "503", "server", 2 * HOUR],
] as const)(
  "%d uploads outlive %s of the %s for %d ms, with few requests meanwhile",
  async (uploads, mode, origin, ms) => {
    const { violations, during, parts } = await queueInOutage(uploads, mode, origin, ms);
    expect(violations).toEqual([]);
    expect(during).toBeLessThan(parts * 0.02);
  },
);

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
