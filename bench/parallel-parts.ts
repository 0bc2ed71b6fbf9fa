/**
 * `npm run bench:parallel-parts`: what finding out how many parts go at once brings, on a link where each connection gets
 * 4 MB/s with a round trip of 80 ms, as to a bucket on another continent.
 */
import { startBrowserBed } from "../test/browser/browser-bed.ts";
import { addFromDisk } from "./add-from-disk.ts";

const CONNECTION_BYTES_PER_SECOND = 4_000_000;
const CONNECTIONS = 6;
const SIZE = 1024 * 1024 * 1024;

const bed = await startBrowserBed({
  linkOptions: { connectionBytesPerSecond: CONNECTION_BYTES_PER_SECOND, latencyMs: 40 },
});
try {
  const page = await bed.openPage();
  const startedAt = performance.now();
  const upload = await addFromDisk(bed, page, "parallel", SIZE);
  let settled: { readonly at: number; readonly bytes: number } | undefined;
  for (;;) {
    const { uploadedBytes, state } = await upload.snapshot();
    const at = performance.now();
    if (state === "done") break;
    // The first fifth is spent on finding out.
    if (!settled && uploadedBytes > SIZE / 5) settled = { at, bytes: uploadedBytes };
    const speed = ((uploadedBytes - (settled?.bytes ?? 0)) / (at - (settled?.at ?? startedAt))) * 1_000;
    if (uploadedBytes > 0.95 * SIZE) {
      report("after the first fifth", speed);
      break;
    }
    await upload.changed(uploadedBytes);
  }
  await upload.finished();
  report("from the pick to the verified object", (SIZE / (performance.now() - startedAt)) * 1_000);
} finally {
  await bed.close();
}

function report(what: string, bytesPerSecond: number): void {
  const share = bytesPerSecond / (CONNECTIONS * CONNECTION_BYTES_PER_SECOND);
  console.log(
    `${what}: ${(bytesPerSecond / 1e6).toFixed(1)} MB/s, ${(share * 100).toFixed(0)} % of ${CONNECTIONS} connections' worth`,
  );
}
