import { vi } from "vitest";
import { addRandomFiles } from "../browser/browser-bed.ts";
import { partsSentTwice } from "../support/sent-once.ts";
import { done, endOf, nameEnd } from "./end.ts";
import type { FaultBed } from "./fault-bed.ts";
import { type Cell, nameCell } from "./matrix.ts";

const KIB = 1024;

/**
 * Bytes of a file that goes in one PUT, of one that goes in parts, and of each of these but the last. Small: Chromium has
 * memory for some 500 MiB of files made in a page, and keeps those of cells that are over for a while.
 */
export const SIZES = { single: 64 * KIB, multipart: 4 * 64 * KIB, part: 64 * KIB };

/** The outcome of a cell. Each flaw is one sentence; there should be none. */
export interface Outcome {
  readonly end: string;
  readonly flaws: readonly string[];
}

export async function runCell(bed: FaultBed, cell: Cell): Promise<Outcome> {
  const { page } = bed;
  const { method, end: expected } = cell;
  const key = nameCell(cell);
  const flaws: string[] = [];
  const faults = bed.plan.arm(key, cell.faults);
  const size = method === "single" ? { size: SIZES.single } : { size: SIZES.multipart, partSize: SIZES.part };
  const [added] = await addRandomFiles(page, [{ key, ...size }]);
  const { id, sha256 } = added as { id: string; sha256: string };

  const end = await endOf(page, id, expected);
  if (end !== nameEnd(expected)) flaws.push(`ends ${end} instead of ${nameEnd(expected)}`);
  // A failed upload keeps its parts at S3 until the user removes it.
  if (end.startsWith("failed")) await page.evaluate((wanted) => uploads.remove(wanted), id);
  const haveStruck = () => !faults.strikes().includes(0);
  await vi.waitUntil(haveStruck, { timeout: 10_000 }).catch(() => flaws.push("the fault has not struck"));
  faults.lift();
  if (end.startsWith("waiting")) {
    if (end.startsWith("waiting/auth")) await bed.signIn();
    const then = await endOf(page, id, done);
    if (then !== "done") flaws.push(`once the fault is lifted it ends ${then}`);
  }

  for (const { partNumber } of partsSentTwice(bed.entries(key)))
    flaws.push(`part ${partNumber ?? 1} was sent again though S3 had it`);
  // The test's own client, too, has to learn of S3's clock.
  const isTidy = () =>
    bed.openUploads(key).then(
      (open) => open.length === 0,
      () => false,
    );
  await vi.waitUntil(isTidy, { timeout: 15_000, interval: 100 }).catch(() => {
    flaws.push("a multipart upload is left open");
  });
  const isDone = (await page.evaluate((wanted) => uploads.get(wanted)?.state, id)) === "done";
  if (isDone && (await bed.sha256(key).catch(String)) !== sha256) flaws.push("other bytes arrived");
  await page.evaluate(async (wanted) => {
    const state = uploads.get(wanted)?.state;
    if (state === "done") await uploads.remove(wanted);
    else if (state !== undefined) await uploads.cancel(wanted);
  }, id);
  return { end, flaws };
}
