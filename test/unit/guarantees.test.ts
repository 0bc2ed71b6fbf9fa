import { expect, test } from "vitest";
import { guaranteesOf } from "../../src/guarantees.ts";

test.each([
  [{ canHandOver: true, canSync: true }, ["completes", "restarts", "restarts"]],
  [{ canHandOver: false, canSync: true }, ["minutes", "restarts", "restarts"]],
  [{ canHandOver: false, canSync: false }, ["minutes", "visit", "visit"]],
])("%o", (means, [tabClosed, browserClosed, crash]) => {
  expect(guaranteesOf(means)).toEqual({ tabClosed, browserClosed, crash });
});
