import { afterEach, expect, test } from "vitest";
import { addFile, isRelayed, type RawBed, startRawBed, untilShare } from "./raw-bed.ts";

const MIB = 1024 * 1024;

let bed: RawBed | undefined;
afterEach(async () => {
  await bed?.close();
  bed = undefined;
});

const relayed = ({ requests }: RawBed) =>
  requests.filter((each) => each.operation === "UploadPart" && isRelayed(each));

test('"browser": the browser moves the bytes, with the page open', async () => {
  bed = await startRawBed({ linkBytesPerSecond: 16 * MIB });
  const tab = await bed.openPage();
  const file = await addFile(bed, tab, "wished", 200 * MIB, { lane: "browser" });
  await tab.until((id: string) => uploads.get(id)?.lane === "browser", [file.id], 60_000);
  // The browser may rest for some minutes before it begins.
  await bed.arrives(file.key, 600_000);
  expect(await bed.sha256(file.key)).toBe(file.sha256);
  // Before the browser takes over, the worker may have sent the first few.
  expect(relayed(bed).length).toBeGreaterThan(10);
  await tab.until((id: string) => uploads.get(id)?.state === "done", [file.id]);
});

test('"worker": nothing is left to the browser when the page goes', async () => {
  bed = await startRawBed({ linkBytesPerSecond: 16 * MIB });
  const tab = await bed.openPage();
  const file = await addFile(bed, tab, "kept", 200 * MIB, { lane: "worker" });
  await untilShare(tab, file, 0.2);
  await tab.close();
  await bed.arrives(file.key, 120_000);
  expect(await bed.sha256(file.key)).toBe(file.sha256);
  expect(relayed(bed)).toEqual([]);
});
