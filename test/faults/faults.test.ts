import { afterAll, afterEach, beforeAll, describe, test } from "vitest";
import { type FaultBed, startFaultBed } from "./fault-bed.ts";
import { type Cell, faultMatrix, nameCell } from "./matrix.ts";
import { type Outcome, runCell, SIZES } from "./run-cell.ts";
import { writeTable } from "./table.ts";

let bed: FaultBed;
let clockOffsetMs = 0;
beforeAll(async () => {
  bed = await startFaultBed({
    minPartBytes: SIZES.part,
    now: () => Date.now() + clockOffsetMs,
    // Less than the clock is set off by.
    handler: { signedUrlSeconds: 15 * 60 },
  });
});

const { separate, shared, clocks } = faultMatrix({
  abort: (request) => bed.abortAtS3(request),
  signIn: () => bed.signIn(),
  setClock: (offsetMs) => {
    clockOffsetMs = offsetMs;
  },
});
const outcomes = new Map<Cell, Outcome>();
afterAll(async () => {
  await bed?.close();
  // Of a part of the matrix no table is written.
  if (outcomes.size === separate.length + shared.length + clocks.length) await writeTable(outcomes);
});

function run(cell: Cell): void {
  test(nameCell(cell), async () => {
    const outcome = await runCell(bed, cell);
    outcomes.set(cell, outcome);
    if (outcome.flaws.length > 0) throw new Error(outcome.flaws.join("; "));
  });
}
describe("each by itself", () => {
  for (const cell of separate) run(cell);
});
describe("one after another", () => {
  for (const cell of shared) run(cell);
});
describe("with another clock", () => {
  afterEach(() => {
    clockOffsetMs = 0;
  });
  for (const cell of clocks) run(cell);
});
