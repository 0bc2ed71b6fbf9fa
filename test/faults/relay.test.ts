import { afterEach, expect, test } from "vitest";
import { addRandomFiles, type BrowserBed, finished, startBrowserBed } from "../browser/browser-bed.ts";
import { isRelayed } from "../raw/raw-bed.ts";
import type { Fault } from "./fault.ts";
import { FaultPlan } from "./fault-plan.ts";
import { FaultProxy } from "./fault-proxy.ts";

const KIB = 1024;
const PARTS = 64;

let bed: BrowserBed | undefined;
let proxy: FaultProxy | undefined;
afterEach(async () => {
  await bed?.close();
  await proxy?.close();
  bed = undefined;
  proxy = undefined;
});

// The relay does not know what the bytes should be: with MD5, S3 takes them as they come.
test.each(["md5", "crc64nvme"])(
  "parts that the browser has sent, each damaged between relay and S3, are never in the object: %s",
  { timeout: 900_000 },
  async (checksum) => {
    const plan = new FaultPlan();
    const faults = Array.from({ length: PARTS }, (_, index): Fault => {
      const partNumber = index + 1;
      return {
        line: "behind",
        operation: "UploadPart",
        partNumber,
        times: "once",
        action: { do: "corrupt" },
      };
    });
    const damage = plan.arm("relayed", faults);
    const started = await startBrowserBed({
      // Background Fetch wants a profile on disk. The worker is to leave some parts to it.
      onDisk: true,
      minPartBytes: 64 * KIB,
      linkBytesPerSecond: 1024 * KIB,
      async through(line, url) {
        if (line !== "behind") return url;
        proxy = await FaultProxy.start(line, url, plan);
        return proxy.url;
      },
    });
    bed = started;
    const page = await started.openPage({ checksum, limits: { minPartBytes: 64 * KIB } });
    const [added] = await addRandomFiles(page, [
      { key: "relayed", size: PARTS * 256 * KIB, partSize: 256 * KIB, lane: "browser" },
    ]);
    const { id, sha256 } = added as { id: string; sha256: string };
    await finished(page, id);

    expect(await started.sha256("relayed")).toBe(sha256);
    const struck = damage.strikes().filter((strikes) => strikes > 0).length;
    expect(struck).toBeGreaterThan(0);
    const refused = started.requests.filter(
      (put) => isRelayed(put) && put.operation === "UploadPart" && !put.stored,
    );
    if (checksum === "md5") expect(refused).toEqual([]);
    else expect(refused.length).toBeGreaterThan(0);
  },
);
