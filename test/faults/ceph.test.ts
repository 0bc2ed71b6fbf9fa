import { afterAll, beforeAll, describe, test } from "vitest";
import { isCephInstalled, startCeph } from "../engines/ceph.ts";
import type { S3Engine } from "../engines/engine.ts";
import { type FaultBed, startFaultBed } from "./fault-bed.ts";
import { type Cell, faultMatrix, nameCell } from "./matrix.ts";
import { runCell, SIZES } from "./run-cell.ts";

let ceph: S3Engine | undefined;
let bed: FaultBed | undefined;
const abort = (request: Parameters<FaultBed["abortAtS3"]>[0]) => bed?.abortAtS3(request) ?? Promise.resolve();
const { separate, shared } = faultMatrix({ abort, setClock: () => {}, signIn: async () => bed?.signIn() });

/** The faults that a part and its completion can meet. */
function isMain({ method, line, request, times }: Cell): boolean {
  const completes = ["complete", "CompleteMultipartUpload", "HeadObject", "parts", "ListParts"];
  return method === "multipart" && times === "once" && (line === "data" || completes.includes(request));
}

if (isCephInstalled() || process.env.CI !== undefined) {
  beforeAll(async () => {
    ceph = await startCeph({ sts: false, minPartBytes: SIZES.part });
    const { endpoint, region, accessKeyId, secretAccessKey } = ceph;
    const credentials = { accessKeyId, secretAccessKey };
    bed = await startFaultBed(
      { minPartBytes: SIZES.part, s3: { endpoint, region, credentials, bucket: "faults" } },
      // Ceph may take its time over a part, and a part that is given up on too early is sent twice.
      { stallTimeoutMs: 6_000 },
    );
  });
  afterAll(async () => {
    await bed?.close();
    await ceph?.stop();
  });
  const run = (cell: Cell) => {
    test(nameCell(cell), async () => {
      const { flaws } = await runCell(bed as FaultBed, cell);
      if (flaws.length > 0) throw new Error(flaws.join("; "));
    });
  };
  describe("against Ceph RGW, each by itself", () => {
    for (const cell of separate.filter(isMain)) run(cell);
  });
  describe("against Ceph RGW, one after another", () => {
    for (const cell of shared.filter(isMain)) run(cell);
  });
} else {
  const reason = "Ceph is not installed: faults are not tried on it (see test/engines/ceph/start.sh)";
  console.warn(`SKIPPED: ${reason}.`);
  describe.skip(reason, () => test("faults: Ceph RGW"));
}
