import { beforeEach, describe, expect, test } from "vitest";
import { RELAY_ENDED_COOKIE, RELAY_TOKEN_HEADER, relayUrl } from "../../../src/core/relay-url.ts";
import { FETCH_PREFIX, handOverLock } from "../../../src/protocol/protocol.ts";
import type { BackgroundFetches } from "../../../sw/background-fetch/index.ts";
import { createBackgroundFetches, isPageHoldingHandOver } from "../../../sw/engine/hand-over.ts";
import type { LiveUpload } from "../../../sw/engine/live-upload.ts";
import { noAnswer } from "../../support/scripted-fetch.ts";
import { EngineBed, idOf, NAME, recordOf } from "./engine-bed.ts";
import { etagOf } from "./text-blob.ts";

const ID = idOf(1);
let bed: EngineBed;
let fetches: BackgroundFetches;
let upload: LiveUpload;
let msLeft: number;
let pages: string[];
let cookies: Map<string, string>;
let answer: (response: Response) => void;
const locks = {
  hold: () => Promise.reject(new Error("not part of this test")),
  holders: async (name: string) => (name === handOverLock(NAME) ? pages : []),
};

beforeEach(async () => {
  bed = await EngineBed.start();
  msLeft = 200_000;
  pages = [];
  cookies = new Map();
  const url = relayUrl("https://app.test/up/", { uploadId: ID, first: 3, count: 1 }, "f1");
  const transfer = {
    id: `${FETCH_PREFIX}f1`,
    matchAll: async () => [
      { request: new Request(url, { headers: { [RELAY_TOKEN_HEADER]: "t1" } }), responseReady },
    ],
  };
  const responseReady = new Promise<Response>((resolve) => {
    answer = resolve;
  });
  fetches = createBackgroundFetches({
    platform: {
      clock: bed.clock,
      fetch: async () => Response.json({}),
      locks,
      worker: { scope: "https://app.test/" },
      cookies: {
        get: async (name: string) => cookies.get(name),
        set: async (name: string, value: string) => void cookies.set(name, value),
      },
      backgroundFetch: { getIds: async () => [transfer.id], get: async () => transfer },
    } as never,
    roster: bed.roster,
    supervisor: bed.supervisor,
    uploads: bed.handedOver,
    lifecycle: {
      get msLeft() {
        return msLeft;
      },
    } as never,
    name: NAME,
  });
  [upload] = (await bed.load(recordOf("uploading", 1, { checksum: "none" }))) as [LiveUpload];
});

/** The worker sends, the first part arrives after a second, and the browser brings a range to its end. */
async function bothMove(): Promise<void> {
  const etag = () => new Response(null, { headers: { etag: "e" } });
  bed.s3.answerPut(() => bed.time.sleep(1_000).then(etag), noAnswer, noAnswer);
  bed.supervisor.drive();
  await fetches.follow();
  await bed.time.runUntil(2_000);
  answer(Response.json({ parts: [{ partNumber: 3, etag: etagOf("ld"), checksum: null }] }));
  await bed.time.settle();
  await bed.time.settle();
}

describe("with no page left", () => {
  test("the worker leaves the rest to the browser's transfers, which are under way, if it has too little time left", async () => {
    msLeft = 10;
    await bothMove();
    // What is on its way is not broken off: it would be sent twice.
    expect([upload.lane, upload.leavesRest, upload.signal.aborted]).toEqual(["browser", true, false]);
  });

  test("the worker has nothing to do any more once its own parts have arrived", async () => {
    msLeft = 10;
    const etag = () => new Response(null, { headers: { etag: "e" } });
    bed.s3.answerPut(
      () => bed.time.sleep(1_000).then(etag),
      () => bed.time.sleep(3_000).then(etag),
      noAnswer,
    );
    bed.supervisor.drive();
    await fetches.follow();
    await bed.time.runUntil(2_000);
    bed.supervisor.leavesRestToBrowser = true;
    await bed.time.runUntil(4_000);
    expect(bed.supervisor.isBusy).toBe(upload.ledger.flyingParts.size > 0);
  });

  test("the worker goes on if it can bring everything to its end", async () => {
    await bothMove();
    expect([upload.signal.aborted, bed.supervisor.isBusy]).toEqual([false, true]);
  });
});

test("the worker goes on where a page takes back what was handed over", async () => {
  msLeft = 10;
  pages = ["page"];
  await bothMove();
  expect(bed.supervisor.isBusy).toBe(true);
});

test("uploads that have ended are released from the browser, and the worker goes on with the others", async () => {
  msLeft = 10;
  await bothMove();
  await bed.roster.apply(upload, { type: "cancel" });
  await bed.time.runUntil(3_000);
  expect([cookies.get(RELAY_ENDED_COOKIE), fetches.areUnderWay, bed.s3.aborted]).toEqual([
    "f1",
    false,
    ["t1"],
  ]);
});

test("a page that goes may still hold its lock, and does not count", async () => {
  expect(await isPageHoldingHandOver({ locks }, NAME)).toBe(false);
  pages = ["leaving"];
  expect(await isPageHoldingHandOver({ locks }, NAME)).toBe(true);
  expect(await isPageHoldingHandOver({ locks }, NAME, "leaving")).toBe(false);
  pages = ["leaving", "other"];
  expect(await isPageHoldingHandOver({ locks }, NAME, "leaving")).toBe(true);
});
