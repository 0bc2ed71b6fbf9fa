import { expect, test } from "vitest";
import { guaranteesOf } from "../../../src/page/guarantees.ts";

test.each([
  [{ canHandOver: true, canSync: true }, ["continues", "resumes", "resumes"]],
  [{ canHandOver: false, canSync: true }, ["limited", "resumes", "resumes"]],
  [{ canHandOver: false, canSync: false }, ["limited", "nextVisit", "nextVisit"]],
])("%o", (means, [tabClosed, browserClosed, crash]) => {
  expect(guaranteesOf(means)).toEqual({ tabClosed, browserClosed, crash });
});
