import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { messageOf } from "../../src/core/error-messages.ts";
import type { UploadErrorCode } from "../../src/core/errors.ts";
import { ROOT } from "./source-files.ts";

const DOC = readFileSync(`${ROOT}/docs/errors.md`, "utf8");
/** The codes as the compiler knows them. */
const CODES = [...readFileSync(`${ROOT}/src/core/errors.ts`, "utf8").matchAll(/^ {2}\| "([A-Z_]+)"/gm)].map(
  ([, code]) => code as UploadErrorCode,
);

test("docs/errors.md explains each code once, in the words of the error itself", () => {
  expect(CODES.length).toBeGreaterThan(40);
  const rows = [...DOC.matchAll(/^\| `([A-Z_]+)` \| (.*) \|$/gm)].map(([, code, text]) => [code, text]);
  const expected = CODES.map((code) => [code, messageOf({ code, detail: "" })]);
  expect(rows.sort()).toEqual(expected.sort());
});
