import { expect, test } from "vitest";
import { GroupedReads } from "../../sw/database/grouped-reads.ts";
import { settlementOf } from "../support/settlement.ts";

/** A file that was changed on disk since it was picked. */
const changedFile = (): Blob =>
  Object.defineProperties(new Blob([]), {
    size: { value: 3 },
    arrayBuffer: { value: () => Promise.reject(new DOMException("changed", "NotReadableError")) },
  });

const textOf = (bytes: ArrayBuffer) => new TextDecoder().decode(bytes);

test("Files that are read together each give their own bytes", async () => {
  const reads = new GroupedReads();
  const texts = Array.from({ length: 1_300 }, (_, index) => "x".repeat(index % 7) + index);
  const read = await Promise.all(texts.map((text) => reads.read(new Blob([text]))));
  expect(read.map(textOf)).toEqual(texts);
});

test("A file that comes while others are read has its turn", async () => {
  const reads = new GroupedReads();
  const first = reads.read(new Blob(["first"]));
  await Promise.resolve();
  await Promise.resolve();
  expect(textOf(await reads.read(new Blob(["second"])))).toBe("second");
  expect(textOf(await first)).toBe("first");
  expect(textOf(await reads.read(new Blob([])))).toBe("");
});

test("A file that can't be read fails alone", async () => {
  const reads = new GroupedReads();
  const before = reads.read(new Blob(["before"]));
  const changed = settlementOf(reads.read(changedFile()));
  const after = reads.read(new Blob(["after"]));
  expect([textOf(await before), textOf(await after)]).toEqual(["before", "after"]);
  expect(changed).toMatchObject({ state: "rejected", error: { name: "NotReadableError" } });
});
