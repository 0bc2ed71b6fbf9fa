import { beforeEach, describe, expect, test } from "vitest";
import { tokenMark } from "../../../src/protocol/protocol.ts";
import type { LiveUpload } from "../../../sw/engine/live-upload.ts";
import { EngineBed, idOf, recordOf } from "./engine-bed.ts";
import { etagOf } from "./text-blob.ts";

const ID = idOf(1);
const receipt = (partNumber: number) => ({
  partNumber,
  etag: etagOf(String(partNumber)),
  checksum: "theirs",
});
let bed: EngineBed;
beforeEach(async () => {
  bed = await EngineBed.start();
});
const rows = () =>
  [...(bed.disk.parts.get(ID)?.values() ?? [])].map(({ partNumber, state }) => [partNumber, state]);

describe("a page can hand over", () => {
  test("uploads that are open at S3 and move or wait, with the parts that S3 has", async () => {
    await bed.load(recordOf("uploading", 1), recordOf("waiting", 2, { laneOption: "browser" }));
    await bed.handedOver.partsArrived(ID, "t1", [receipt(2)]);
    expect(await bed.handedOver.candidates([])).toMatchObject([
      { id: ID, token: "t1", done: [2], isImmediate: false },
      { id: idOf(2), token: "t2", done: [], isImmediate: true },
    ]);
  });

  test("no upload again that it knows by this token", async () => {
    await bed.load(recordOf("uploading", 1), recordOf("uploading", 2));
    expect(await bed.handedOver.candidates([tokenMark("t1"), tokenMark("before t2")])).toMatchObject([
      { id: idOf(2) },
    ]);
  });

  test.each([
    ["is paused", recordOf("paused")],
    ["has not begun", recordOf("queued")],
    ["is all there", recordOf("completing")],
    ["has failed", recordOf("failed")],
    ["waits, and has not begun", recordOf("waiting", 1, { remote: { at: "none" } })],
    ["is the worker's", recordOf("uploading", 1, { laneOption: "worker" })],
    ["is somebody else's", recordOf("uploading", 1, { owner: "ann" })],
    [
      "may not move at any time",
      recordOf("uploading", 1, { conditions: { unmetered: true, notBefore: null, hours: null } }),
    ],
  ])("no upload that %s", async (_what, record) => {
    await bed.load(record);
    expect(await bed.handedOver.candidates([])).toEqual([]);
  });

  test("no upload whose file can't be read", async () => {
    await bed.load(recordOf("uploading"));
    bed.disk.bytes.clear();
    expect(await bed.handedOver.candidates([])).toEqual([]);
  });

  test("no upload that is handed over already", async () => {
    await bed.load(recordOf("uploading", 1, { laneOption: "browser" }));
    bed.handedOver.setLane([ID, idOf(9)], "browser");
    expect(await bed.handedOver.candidates([])).toEqual([]);
    expect(bed.steps).toEqual([{ type: "lane", id: ID, lane: "browser" }]);
  });
});

describe("parts that the relay has stored", () => {
  test("are noted once, to be compared before the end", async () => {
    const [upload] = (await bed.load(recordOf("uploading"))) as [LiveUpload];
    let told = 0;
    upload.onConfirmedElsewhere(() => {
      told += 1;
    });
    await bed.handedOver.partsArrived(ID, "t1", [receipt(1), receipt(2), receipt(99)]);
    await bed.handedOver.partsArrived(ID, "t1", [receipt(1)]);
    expect([rows(), upload.ledger.unverified().length, told]).toEqual([
      [
        [1, "done"],
        [2, "done"],
      ],
      2,
      1,
    ]);
  });

  test.each([
    ["an upload that is not there", idOf(9), "t1", recordOf("uploading")],
    ["one that has begun anew", ID, "an older token", recordOf("uploading")],
    ["one that is done", ID, "t1", recordOf("done")],
  ])("of %s count for nothing", async (_what, id, token, record) => {
    await bed.load(record);
    await bed.handedOver.partsArrived(id, token, [receipt(1)]);
    expect(rows()).toEqual([]);
  });
});

describe("ranges that somebody else may have sent", () => {
  test.each(["uploading", "waiting", "paused"] as const)("are in doubt, also while %s", async (state) => {
    const [upload] = (await bed.load(recordOf(state))) as [LiveUpload];
    await bed.handedOver.partsArrived(ID, "t1", [receipt(1)]);
    await bed.handedOver.rangesInDoubt([
      { uploadId: ID, first: 1, count: 20 },
      { uploadId: idOf(9), first: 1, count: 1 },
    ]);
    expect(rows()).toEqual([
      [1, "done"],
      [2, "sending"],
      [3, "sending"],
    ]);
    expect(upload.ledger.doubtfulAt(0)).toEqual([2, 3]);
  });

  test("of an upload that is not open are nobody's", async () => {
    await bed.load(recordOf("queued"));
    await bed.handedOver.rangesInDoubt([{ uploadId: ID, first: 1, count: 3 }]);
    expect(rows()).toEqual([]);
  });
});

test("the owner and the lane are known of uploads that are there", async () => {
  await bed.load(
    recordOf("uploading", 1, { laneOption: "browser" }),
    recordOf("uploading", 2, { owner: "ann" }),
  );
  const { handedOver } = bed;
  expect([handedOver.prefersBrowser(ID), handedOver.prefersBrowser(idOf(2))]).toEqual([true, false]);
  expect([ID, idOf(2), idOf(9)].map((id) => handedOver.isForeign(id))).toEqual([false, true, false]);
});
