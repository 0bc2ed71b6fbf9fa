import { expect, test } from "vitest";
import { hasRoomFor } from "../../sw/files/room.ts";

const GIB = 1024 ** 3;
const hasRoom = (bytes: number, estimate: { quota?: number; usage?: number }) =>
  hasRoomFor(bytes, { storageEstimate: async () => estimate });

test.each([
  ["all that is left", 60, { quota: 100, usage: 40 }, true],
  ["more than is left", 61, { quota: 100, usage: 40 }, false],
  ["anything over quota", 1, { quota: 100, usage: 120 }, false],
  ["anything where the browser says nothing", GIB, {}, true],
  ["anything where the browser names no quota", GIB, { usage: 5 }, true],
  ["anything where the browser names no usage", GIB, { quota: 5 }, true],
  [
    "more than the most that Chromium tells, which may be more",
    50 * GIB,
    { quota: 10 * GIB, usage: 0 },
    true,
  ],
  ["less than the most that Chromium tells", 10 * GIB, { quota: 10 * GIB, usage: 1 }, false],
])("%s has room or not, as far as the browser says", async (_what, bytes, estimate, expected) => {
  expect(await hasRoom(bytes, estimate)).toBe(expected);
});
