import { expect, test } from "vitest";
import { guaranteesFor, guaranteesOf, isReachable } from "../../../src/page/guarantees.ts";

test.each([
  [{ canHandOver: true, canSync: true }, ["continues", "resumes", "resumes"]],
  [{ canHandOver: false, canSync: true }, ["limited", "resumes", "resumes"]],
  [{ canHandOver: false, canSync: false }, ["limited", "nextVisit", "nextVisit"]],
])("%o", (means, [tabClosed, browserClosed, crash]) => {
  expect(guaranteesOf(means)).toEqual({ tabClosed, browserClosed, crash });
});

const stored = { state: "uploading", lane: "worker", durability: "stored", isCandidate: true } as const;
const all = { canHandOver: true, canSync: true };

test.each([
  ["that the page would hand over", stored, ["continues", "resumes", "resumes"]],
  [
    "that has begun, where another page hands over",
    { ...stored, isCandidate: undefined },
    ["continues", "resumes", "resumes"],
  ],
  [
    "that has not begun",
    { ...stored, state: "queued", isCandidate: undefined },
    ["limited", "resumes", "resumes"],
  ],
  ["whose parts don't come through", { ...stored, isCandidate: false }, ["limited", "resumes", "resumes"]],
  [
    "that the browser carries already",
    { ...stored, lane: "browser" },
    ["continues", "continues", "continues"],
  ],
  ["that is paused", { ...stored, state: "paused" }, ["nextVisit", "nextVisit", "nextVisit"]],
  ["that is in memory only", { ...stored, durability: "memory" }, ["continues", "lost", "lost"]],
  [
    "that is in memory only, and has not begun",
    { ...stored, state: "queued", durability: "memory", isCandidate: false },
    ["lost", "lost", "lost"],
  ],
] as const)("an upload %s", (_what, fate, [tabClosed, browserClosed, crash]) => {
  expect(guaranteesFor(fate, all)).toEqual({ tabClosed, browserClosed, crash });
});

test.each([
  [{ is: "unknown" }, true],
  [{ is: "missing" }, false],
  [{ is: "there", maxBytes: null }, true],
  [{ is: "there", maxBytes: 1024 ** 2 }, false],
  [{ is: "there", maxBytes: 5 * 1024 ** 2 }, true],
] as const)("a relay of which %j is known counts as reachable: %s", (reach, is) => {
  expect(isReachable(reach)).toBe(is);
});
