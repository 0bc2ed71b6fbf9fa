import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { PLANTED_FAULTS } from "./planted.ts";

const ROOT = new URL("../../", import.meta.url);

test.each(PLANTED_FAULTS)(
  "there is one place in the sources for the planted fault: $name",
  async ({ file, find }) => {
    const source = await readFile(new URL(file, ROOT), "utf8");
    expect(source.split(find)).toHaveLength(2);
  },
);
