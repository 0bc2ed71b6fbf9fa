import { afterAll, beforeAll, expect, test } from "vitest";
import { partsSentTwice } from "../support/sent-once.ts";
import { addRandomFiles, type BrowserBed, finished, startBrowserBed } from "./browser-bed.ts";

const MIB = 1024 * 1024;
const PART = 6 * MIB;

let bed: BrowserBed;
beforeAll(async () => {
  bed = await startBrowserBed();
});
afterAll(() => bed?.close());

test.each([
  ["nothing", 0],
  ["one byte", 1],
  ["a byte less than the smallest part", 5 * MIB - 1],
  ["the smallest part", 5 * MIB],
  ["a byte more", 5 * MIB + 1],
  ["whole parts", 3 * PART],
  ["whole parts and a byte", 3 * PART + 1],
])("%s arrives, in a single PUT and in parts", async (name, size) => {
  const page = await bed.openPage();
  const added = await addRandomFiles(page, [
    { key: `${name}/multipart`, size, partSize: PART },
    { key: `${name}/single`, size },
  ]);
  for (const { id, key, sha256 } of added) {
    const object = await finished(page, id);
    expect(object).toMatchObject({ key, size });
    expect(await bed.sha256(key)).toBe(sha256);
  }
  const puts = bed.requests.filter(
    ({ operation, key }) => operation === "UploadPart" && key === `${name}/multipart`,
  );
  expect(puts.map(({ partNumber }) => partNumber).sort()).toEqual(
    Array.from({ length: Math.max(1, Math.ceil(size / PART)) }, (_, index) => index + 1),
  );
  expect(partsSentTwice(bed.requests)).toEqual([]);
  await page.close();
});
