import { beforeEach, describe, expect, test } from "vitest";
import { StorageFault } from "../../../src/core/storage.ts";
import { BeginAhead, MOST_OPEN } from "../../../sw/engine/begin-ahead.ts";
import { EngineBed, idOf, recordOf } from "./engine-bed.ts";

const NEVER = () => new Promise<never>(() => {});

let bed: EngineBed;
let ahead: BeginAhead;
let isKeeperThere: boolean;

beforeEach(async () => {
  // One part at a time, which never ends: so whatever begins after the first two begins ahead of its turn.
  bed = await EngineBed.start({ parallelParts: 1 });
  bed.s3.answer("sign", ...Array.from({ length: 1_000 }, () => NEVER));
  isKeeperThere = true;
  ahead = new BeginAhead({
    roster: bed.roster,
    supervisor: bed.supervisor,
    clock: bed.clock,
    isKeeperThere: async () => isKeeperThere,
    onFailure: (error) => bed.failures.push(error),
  });
});

const queued = (count: number, more: object = {}, from = 1) =>
  Array.from({ length: count }, (_, index) => recordOf("queued", from + index, more));
const inState = (state: string) => [...bed.disk.uploads.values()].filter((record) => record.state === state);

/** Drives, and looks around, until nothing is left to do within a second. */
async function drive(): Promise<void> {
  bed.supervisor.drive();
  ahead.check();
  await bed.time.runUntil(1_000);
}

describe("while a page lives that can hand over", () => {
  test("all that is queued is begun, many by one request", async () => {
    await bed.load(...queued(MOST_OPEN));
    await drive();
    expect(inState("uploading")).toHaveLength(MOST_OPEN);
    expect([bed.s3.count("begin"), bed.s3.count("beginMany")]).toEqual([2, Math.ceil((MOST_OPEN - 2) / 32)]);
  });

  test("those come first whose turn is first", async () => {
    await bed.load(...queued(20), ...queued(22, { priority: 1 }, 21));
    await drive();
    const [first] = bed.writes.filter((events) => events.length > 1);
    const urgent = first?.slice(0, 20).map(({ id }) => id);
    expect(urgent).toEqual(Array.from({ length: 20 }, (_, index) => idOf(23 + index)));
  });

  test("no more are open at a time than one Background Fetch stands; the next begin as others end", async () => {
    await bed.load(...queued(MOST_OPEN + 40));
    await drive();
    expect([inState("uploading").length, inState("queued").length]).toEqual([MOST_OPEN, 40]);
    const open = bed.roster.unfinished().filter(({ record }) => record.state === "uploading");
    await bed.roster.applyAll(open.slice(10, 20), () => ({ type: "cancel" }));
    for (const upload of open.slice(10, 20)) await bed.roster.apply(upload, { type: "aborted" });
    await bed.time.runUntil(2_000);
    expect([inState("uploading").length, inState("queued").length]).toEqual([MOST_OPEN, 30]);
  });

  test.each([
    ["is the worker's", { laneOption: "worker" }],
    ["may not move at any time", { conditions: { unmetered: false, notBefore: 0, hours: null } }],
    ["may have begun already", { remote: { at: "asked", since: 0 } }],
    ["has failed to begin", { attempts: 1 }],
  ])("nothing is begun ahead that %s", async (_what, more) => {
    await bed.load(...queued(2), ...queued(3, more, 3));
    await drive();
    expect(bed.s3.count("beginMany")).toBe(0);
  });
});

test("nothing is begun ahead while no page is there, and it is once one has come", async () => {
  await bed.load(...queued(10));
  isKeeperThere = false;
  await drive();
  expect(inState("queued")).toHaveLength(8);
  isKeeperThere = true;
  ahead.check();
  await bed.time.runUntil(2_000);
  expect(inState("queued")).toEqual([]);
});

describe("an upload that could not be begun ahead", () => {
  test("has its turn all the same, and the server has a rest", async () => {
    await bed.load(...queued(10));
    bed.s3.answer("beginMany", new StorageFault("permanent", "REQUEST_INVALID"));
    await drive();
    expect([inState("queued").length, bed.s3.count("beginMany")]).toEqual([8, 1]);
    ahead.check();
    await bed.time.runUntil(50_000);
    expect(bed.s3.count("beginMany")).toBe(1);
  });

  test("keeps none of the others from being begun", async () => {
    await bed.load(...queued(10));
    bed.s3.refused.set(idOf(6), new StorageFault("permanent", "FORBIDDEN"));
    await drive();
    expect(inState("queued").map(({ id }) => id)).toEqual([idOf(6)]);
  });

  test("is as its user wants it if that was said meanwhile", async () => {
    const uploads = await bed.load(...queued(5));
    let answer = () => {};
    bed.s3.answer("beginMany", () => new Promise<void>((resolve) => (answer = resolve)));
    await drive();
    const [, , third, fourth] = uploads;
    if (third) await bed.roster.apply(third, { type: "pause", reason: "user" });
    if (fourth) await bed.roster.apply(fourth, { type: "cancel" });
    answer();
    await bed.time.runUntil(2_000);
    expect(third?.record).toMatchObject({ state: "paused", remote: { at: "open" } });
    expect(fourth?.record).toMatchObject({ state: "canceled", remote: { at: "open" } });
  });
});

test("nothing is begun ahead once it has stopped", async () => {
  await bed.load(...queued(10));
  ahead.stop();
  await drive();
  expect(bed.s3.count("beginMany")).toBe(0);
});
