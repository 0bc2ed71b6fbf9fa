import { beforeEach, describe, expect, test, vi } from "vitest";
import type { PartRange } from "../../src/core/part-ranges.ts";
import { endedEntry, RELAY_ENDED_COOKIE, RELAY_TOKEN_HEADER, relayUrl } from "../../src/core/relay-url.ts";
import type { PartReceipt } from "../../src/core/storage.ts";
import { FETCH_PREFIX } from "../../src/protocol/protocol.ts";
import { BackgroundFetches, type BackgroundFetchHost } from "../../sw/background-fetch/background-fetches.ts";
import { settlementOf } from "../support/settlement.ts";
import { virtualClock } from "../support/virtual-clock.ts";
import { VirtualTime } from "../support/virtual-time.ts";
import { ID } from "./records.ts";

const OTHER_ID = "0f0e0d0c-0b0a-4908-8706-050403020100";
const EPOCH = 1_800_000_000_000;
const WEEK_MS = 7 * 24 * 3_600_000;

const rangeOf = (uploadId: string, first: number, count = 1): PartRange => ({ uploadId, first, count });
const receipt = (partNumber: number): PartReceipt => ({
  partNumber,
  etag: `etag-${partNumber}`,
  checksum: null,
});

/** One request of a fetch, answered when the test says so. */
class FetchRecord {
  readonly request: Request;
  readonly responseReady: Promise<Response>;
  answer = (_response: Response) => {};
  fail = () => {};

  constructor(url: string, token: string | null) {
    const headers: Record<string, string> = token === null ? {} : { [RELAY_TOKEN_HEADER]: token };
    this.request = new Request(url, { method: "PUT", headers });
    this.responseReady = new Promise((resolve, reject) => {
      this.answer = resolve;
      this.fail = () => reject(new TypeError("no answer"));
    });
    // Chromium reports none of them as unhandled.
    this.responseReady.catch(() => {});
  }

  store(...parts: PartReceipt[]): Promise<void> {
    this.answer(Response.json({ parts }));
    return settled();
  }
}

/** A fetch under way in the browser. */
class Transfer {
  readonly records: FetchRecord[];

  constructor(
    readonly id: string,
    ranges: readonly PartRange[],
    token: string | null = "token",
  ) {
    const fetchId = id.slice(FETCH_PREFIX.length);
    this.records = ranges.map(
      (range) => new FetchRecord(relayUrl("https://app.test/up", range, fetchId), token),
    );
  }

  async matchAll() {
    return this.records;
  }

  record(index: number): FetchRecord {
    return this.records[index] as FetchRecord;
  }
}

/** Notes what it is told. */
class Host implements BackgroundFetchHost {
  readonly told: unknown[][] = [];
  carried: readonly PartRange[] = [];
  readonly browserUploads = new Set<string>();
  readonly foreignUploads = new Set<string>();
  readonly restingUploads = new Set<string>();

  handedOver(uploadIds: readonly string[], isHandedOver: boolean) {
    this.told.push([isHandedOver ? "handed over" : "no longer", ...uploadIds]);
  }
  async partsArrived(uploadId: string, token: string, parts: readonly PartReceipt[]) {
    this.told.push(["arrived", uploadId, token, ...parts.map(({ partNumber }) => partNumber)]);
  }
  prefersBrowser(uploadId: string) {
    return this.browserUploads.has(uploadId);
  }
  isForeign(uploadId: string) {
    return this.foreignUploads.has(uploadId);
  }
  isResting(uploadId: string) {
    return this.restingUploads.has(uploadId);
  }
  async rangesInDoubt(ranges: readonly PartRange[], inMs: number) {
    // The browser is left alone with what it sends.
    if (inMs === 60_000) this.carried = ranges;
    else this.told.push([inMs > 0 ? "being sent" : "in doubt", ...ranges]);
  }
  browserProgresses() {
    this.told.push(["browser progresses"]);
  }

  /** The calls to the host since this was last read. */
  news(): unknown[][] {
    return this.told.splice(0);
  }
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

let time: VirtualTime;
let transfers: Map<string, Transfer>;
let cookie: { value: string; expires: number } | undefined;
let host: Host;
let platform: ConstructorParameters<typeof BackgroundFetches>[0];
let fetches: BackgroundFetches;

beforeEach(() => {
  time = new VirtualTime();
  transfers = new Map();
  cookie = undefined;
  host = new Host();
  platform = {
    clock: virtualClock(time, EPOCH),
    worker: { scope: "https://app.test/" } as never,
    fetch: async (url, init) => {
      const { tokens, fetches, ending } = JSON.parse(String(init.body));
      host.told.push(["released", String(url), tokens, fetches, ending]);
      return Response.json({});
    },
    cookies: {
      get: async (name) => (name === RELAY_ENDED_COOKIE ? cookie?.value : undefined),
      async set(name, value, expires) {
        expect(name).toBe(RELAY_ENDED_COOKIE);
        cookie = { value, expires };
        host.told.push(["ended", value]);
      },
    },
    backgroundFetch: {
      getIds: async () => [...transfers.keys()],
      get: async (id: string) => transfers.get(id),
    } as never,
  };
  fetches = new BackgroundFetches(platform, host);
});

/** Starts a fetch, as a page has done it. */
function start(name: string, ranges: readonly PartRange[], token: string | null = "token"): Transfer {
  const transfer = new Transfer(FETCH_PREFIX + name, ranges, token);
  transfers.set(transfer.id, transfer);
  return transfer;
}

const registration = (transfer: Transfer) => transfer as never;

describe("following", () => {
  test("notes whose uploads are carried, each once", async () => {
    start("f", [rangeOf(ID, 1, 2), rangeOf(ID, 3), rangeOf(OTHER_ID, 1)]);
    expect(fetches.areUnderWay).toBe(false);
    await fetches.follow();
    expect(host.news()).toEqual([["handed over", ID, OTHER_ID]]);
    expect(fetches.areUnderWay).toBe(true);
    await fetches.follow();
    expect(host.news()).toEqual([]);
  });

  test("twice at once notes each fetch once, and takes each part in once", async () => {
    const transfer = start("f", [rangeOf(ID, 1)]);
    await Promise.all([fetches.follow(), fetches.follow()]);
    expect(host.news()).toEqual([["handed over", ID]]);
    await transfer.record(0).store(receipt(1));
    expect(host.news()).toEqual([["arrived", ID, "token", 1], ["browser progresses"]]);
  });

  test("stops at a fetch that ends meanwhile: nothing would ever say again that it carries nothing", async () => {
    const transfer = start("f", [rangeOf(ID, 1)]);
    transfer.record(0).fail();
    let read = () => {};
    vi.spyOn(transfer, "matchAll").mockImplementationOnce(async () => {
      await new Promise<void>((resolve) => {
        read = resolve;
      });
      return transfer.records;
    });
    const following = fetches.follow();
    await settled();
    transfers.clear();
    await fetches.finished(registration(transfer));
    read();
    await following;
    expect(fetches.areUnderWay).toBe(false);
    expect(host.news()).not.toContainEqual(["handed over", ID]);
  });

  test("of a fetch that can't be read is tried again", async () => {
    const transfer = start("f", [rangeOf(ID, 1)]);
    const read = vi.spyOn(transfer, "matchAll").mockRejectedValueOnce(new TypeError("gone"));
    await expect(fetches.follow()).rejects.toThrow("gone");
    expect(fetches.areUnderWay).toBe(false);
    read.mockRestore();
    await fetches.follow();
    expect(host.news()).toEqual([["handed over", ID]]);
  });

  test("takes in what arrives, with the token that it was sent under", async () => {
    const transfer = start("f", [rangeOf(ID, 1, 2), rangeOf(OTHER_ID, 7)], "secret");
    await fetches.follow();
    host.news();
    await transfer.record(1).store(receipt(7));
    expect(host.news()).toEqual([["arrived", OTHER_ID, "secret", 7], ["browser progresses"]]);
    await transfer.record(0).store(receipt(1), receipt(2));
    expect(host.news()).toEqual([["arrived", ID, "secret", 1, 2], ["browser progresses"]]);
  });

  test("leaves the two ranges alone that the browser sends at the moment, in its order", async () => {
    const ranges = Array.from({ length: 12 }, (_, index) => rangeOf(ID, index + 1));
    const transfer = start("f", ranges);
    await fetches.follow();
    // By their indices as text: 0, 1, 10, 11, 2, …
    expect(host.carried).toEqual([rangeOf(ID, 1), rangeOf(ID, 2)]);
    await transfer.record(1).store(receipt(2));
    expect(host.carried).toEqual([rangeOf(ID, 1), rangeOf(ID, 11)]);
    await transfer.record(0).store(receipt(1));
    expect(host.carried).toEqual([rangeOf(ID, 11), rangeOf(ID, 12)]);
  });

  test("takes in the parts of a range that was broken off, which is no progress", async () => {
    const transfer = start("f", [rangeOf(ID, 1, 3)]);
    await fetches.follow();
    host.news();
    const error = { kind: "network", code: "NETWORK", message: "", detail: "" };
    transfer.record(0).answer(Response.json({ error, parts: [receipt(1)] }, { status: 502 }));
    await settled();
    expect(host.news()).toEqual([
      ["arrived", ID, "token", 1],
      ["in doubt", rangeOf(ID, 1, 3)],
    ]);
  });

  test.each([
    ["no JSON", () => new Response("<html>", { status: 200 })],
    ["JSON of somebody else", () => Response.json({ ok: true })],
    ["a part that can't be", () => Response.json({ parts: [{ partNumber: 0, etag: "x" }] })],
    ["an error without parts", () => Response.json({ error: {} }, { status: 410 })],
    ["no body", () => new Response(null, { status: 413 })],
  ])("takes nothing in from an answer with %s", async (_what, response) => {
    const transfer = start("f", [rangeOf(ID, 1)]);
    await fetches.follow();
    host.news();
    transfer.record(0).answer(response());
    await settled();
    expect(host.news()).toEqual([["in doubt", rangeOf(ID, 1)]]);
  });

  test("takes nothing in where there is no answer, or no token", async () => {
    const transfer = start("f", [rangeOf(ID, 1)]);
    const tokenless = start("g", [rangeOf(ID, 2)], null);
    await fetches.follow();
    host.news();
    transfer.record(0).fail();
    await tokenless.record(0).store(receipt(2));
    expect(host.news()).toEqual([["in doubt", rangeOf(ID, 1)]]);
  });

  test("leaves fetches of the app, and ended ones, alone", async () => {
    transfers.set("podcast", new Transfer("podcast", [rangeOf(ID, 1)]));
    start("old", [rangeOf(ID, 1)]);
    cookie = { value: "older.old", expires: 0 };
    await fetches.follow();
    expect(host.news()).toEqual([]);
    expect(fetches.areUnderWay).toBe(false);
  });

  test("finds no uploads in requests that are not the relay's", async () => {
    const transfer = start("f", []);
    for (const query of ["", "?upload=x&first=1&count=1", `?upload=${ID}&first=0&count=1`])
      transfer.records.push(new FetchRecord(`https://app.test/other${query}`, "token"));
    await fetches.follow();
    expect(host.news()).toEqual([["handed over"]]);
  });

  test("waits for an announced fetch until the browser shows it", async () => {
    const following = settlementOf(fetches.follow(`${FETCH_PREFIX}f`));
    await time.runUntil(1_900);
    expect(following.state).toBe("pending");
    start("f", [rangeOf(ID, 1)]);
    await time.runUntil(2_000);
    expect(following.state).toBe("fulfilled");
    expect(host.news()).toEqual([["handed over", ID]]);
  });

  test("gives up after 10 s on an announced fetch that never shows", async () => {
    const following = settlementOf(fetches.follow(`${FETCH_PREFIX}f`));
    await time.runUntil(9_999);
    expect(following.state).toBe("pending");
    await time.runUntil(10_000);
    expect(following.state).toBe("fulfilled");
  });

  test("does not wait for an announced fetch that is there", async () => {
    const { id } = start("f", [rangeOf(ID, 1)]);
    await fetches.follow(id);
    expect(time.nextAt).toBeUndefined();
    expect(host.news()).toEqual([["handed over", ID]]);
  });

  test("ends at once what belongs to a user who is not signed in", async () => {
    start("f", [rangeOf(ID, 1), rangeOf(OTHER_ID, 1)]);
    host.foreignUploads.add(OTHER_ID);
    await fetches.follow();
    expect(host.news()).toEqual([
      ["handed over", ID, OTHER_ID],
      ["being sent", rangeOf(ID, 1), rangeOf(OTHER_ID, 1)],
      ["ended", "f"],
      ["no longer", ID, OTHER_ID],
      ["released", "https://app.test/up/release", ["token"], ["f"], "now"],
      ["in doubt", rangeOf(ID, 1), rangeOf(OTHER_ID, 1)],
    ]);
  });

  test("finds nothing in a browser without Background Fetch", async () => {
    fetches = new BackgroundFetches({ ...platform, backgroundFetch: undefined }, host);
    await fetches.follow();
    await fetches.takeBack();
    expect(host.news()).toEqual([]);
  });
});

describe("taking back", () => {
  test("has the ranges doubted before the fetch is ended: a death in between must not lose them", async () => {
    start("f", [rangeOf(ID, 1, 4)]);
    await fetches.follow();
    host.news();
    await fetches.takeBack();
    expect(host.news()).toEqual([
      ["being sent", rangeOf(ID, 1, 4)],
      ["ended", "f"],
      ["no longer", ID],
      ["released", "https://app.test/up/release", ["token"], ["f"], "afterPart"],
      ["in doubt", rangeOf(ID, 1, 4)],
    ]);
    expect(fetches.areUnderWay).toBe(false);
  });

  test("works on a fetch that was not followed", async () => {
    start("f", [rangeOf(ID, 1)]);
    await fetches.takeBack();
    expect(host.news().map(([what]) => what)).toEqual(["being sent", "ended", "released", "in doubt"]);
  });

  test("has the parts looked up, though the relay can't be reached", async () => {
    platform.fetch = async () => {
      throw new TypeError("Failed to fetch");
    };
    start("f", [rangeOf(ID, 1)]);
    await fetches.takeBack();
    expect(host.news()).toContainEqual(["in doubt", rangeOf(ID, 1)]);
  });

  test("still takes in what is on its way at that moment", async () => {
    const transfer = start("f", [rangeOf(ID, 1), rangeOf(ID, 2)]);
    await fetches.takeBack();
    host.news();
    await transfer.record(1).store(receipt(2));
    expect(host.news()).toEqual([["arrived", ID, "token", 2]]);
  });

  test("is no progress of the browser's any more, for a fetch that was followed", async () => {
    const transfer = start("f", [rangeOf(ID, 1)]);
    await fetches.follow();
    await fetches.takeBack();
    host.news();
    await transfer.record(0).store(receipt(1));
    expect(host.news()).not.toContainEqual(["browser progresses"]);
  });

  test("leaves what the app wants the browser to carry, unless it is mixed with other uploads", async () => {
    host.browserUploads.add(ID);
    start("wanted", [rangeOf(ID, 1), rangeOf(ID, 2)]);
    start("mixed", [rangeOf(ID, 3), rangeOf(OTHER_ID, 1)]);
    await fetches.takeBack();
    expect(cookie?.value).toBe("mixed");
  });

  test("ends a fetch in which nothing can be read", async () => {
    start("empty", []);
    await fetches.takeBack();
    expect(cookie?.value).toBe("empty");
  });

  test("happens once: an ended fetch is not ended again, though the browser still shows it", async () => {
    start("f", [rangeOf(ID, 1)]);
    await fetches.takeBack();
    host.news();
    await fetches.takeBack();
    await fetches.follow();
    expect(host.news()).toEqual([]);
  });

  test("of what is foreign leaves the fetches of whoever is signed in", async () => {
    start("own", [rangeOf(ID, 1)]);
    start("foreign", [rangeOf(OTHER_ID, 1)]);
    host.foreignUploads.add(OTHER_ID);
    await fetches.takeBackForeign();
    expect(cookie?.value).toBe("foreign");
  });
});

describe("releasing an upload", () => {
  test("stops it at once, and touches no other upload of its fetch", async () => {
    const transfer = start("f", [rangeOf(ID, 1), rangeOf(OTHER_ID, 1)]);
    transfer.records[1] = new FetchRecord(transfer.record(1).request.url, "other token");
    await fetches.follow();
    host.news();
    await fetches.release(ID);
    expect(host.news()).toEqual([
      ["being sent", rangeOf(ID, 1)],
      ["ended", endedEntry("f", ID)],
      ["no longer", ID],
      ["released", "https://app.test/up/release", ["token"], ["f"], "now"],
      ["in doubt", rangeOf(ID, 1)],
    ]);
    expect(fetches.areUnderWay).toBe(true);
    await fetches.release(OTHER_ID);
    expect(cookie?.value.split(".")).toContain("f");
    expect(fetches.areUnderWay).toBe(false);
  });

  test("together with all others of its fetch ends the fetch, in one request", async () => {
    start("f", [rangeOf(ID, 1), rangeOf(OTHER_ID, 1)]);
    await fetches.follow();
    host.news();
    await Promise.all([fetches.release(ID), fetches.release(OTHER_ID)]);
    expect(cookie?.value).toBe("f");
    expect(host.news().filter(([what]) => what === "released")).toHaveLength(1);
  });

  test("is remembered by the next worker, which follows the others only", async () => {
    start("f", [rangeOf(ID, 1), rangeOf(OTHER_ID, 1)]);
    await fetches.follow();
    await fetches.release(ID);
    host.news();
    await new BackgroundFetches(platform, host).follow();
    expect(host.news()).toEqual([["handed over", OTHER_ID]]);
  });

  test("is made up for where its user has paused it before the fetch could be seen", async () => {
    host.restingUploads.add(ID);
    start("f", [rangeOf(ID, 1), rangeOf(OTHER_ID, 1)]);
    await fetches.follow();
    await settled();
    expect(cookie?.value).toBe(endedEntry("f", ID));
  });

  test("does nothing for one that no fetch carries, or twice", async () => {
    start("f", [rangeOf(ID, 1)]);
    await fetches.follow();
    await fetches.release(OTHER_ID);
    expect(cookie).toBeUndefined();
    await fetches.release(ID);
    host.news();
    await fetches.release(ID);
    expect(host.news()).toEqual([]);
  });
});

describe("a fetch that the browser has ended", () => {
  test("has its ranges doubted, then what was stored taken in, and carries nothing any more", async () => {
    const transfer = start("f", [rangeOf(ID, 1), rangeOf(ID, 2)]);
    await fetches.follow();
    host.news();
    transfer.record(0).answer(Response.json({ parts: [receipt(1)] }));
    transfer.record(1).fail();
    transfers.clear();
    await fetches.finished(registration(transfer));
    const news = host.news();
    expect(news[0]).toEqual(["in doubt", rangeOf(ID, 1), rangeOf(ID, 2)]);
    expect(news).toContainEqual(["arrived", ID, "token", 1]);
    expect(news.at(-1)).toEqual(["no longer", ID]);
    expect(fetches.areUnderWay).toBe(false);
  });

  test("speaks for itself to a worker that has just started", async () => {
    const transfer = start("f", [rangeOf(ID, 1)]);
    transfer.record(0).answer(Response.json({ parts: [receipt(1)] }));
    await fetches.finished(registration(transfer));
    expect(host.news()).toEqual([
      ["in doubt", rangeOf(ID, 1)],
      ["arrived", ID, "token", 1],
    ]);
  });

  test("is none of ours if the app has named it", async () => {
    const podcast = new Transfer("podcast", [rangeOf(ID, 1)]);
    await fetches.finished(registration(podcast));
    expect(await fetches.stoppedByUser(registration(podcast))).toEqual([]);
    expect(host.news()).toEqual([]);
  });
});

describe("a fetch that was aborted", () => {
  test("by the user gives the ids of its uploads, each once, and what had arrived is taken in", async () => {
    const transfer = start("f", [rangeOf(ID, 1), rangeOf(ID, 2), rangeOf(OTHER_ID, 1)]);
    await fetches.follow();
    transfer.record(0).answer(Response.json({ parts: [receipt(1)] }));
    transfer.record(1).fail();
    transfer.record(2).fail();
    expect(await fetches.stoppedByUser(registration(transfer))).toEqual([ID, OTHER_ID]);
    expect(host.news()).toContainEqual(["arrived", ID, "token", 1]);
    expect(fetches.areUnderWay).toBe(false);
  });

  test("since this worker has ended it was not stopped by the user", async () => {
    const transfer = start("f", [rangeOf(ID, 1)]);
    await fetches.takeBack();
    transfer.record(0).fail();
    expect(await fetches.stoppedByUser(registration(transfer))).toEqual([]);
  });
});

describe("the cookie of ended fetches", () => {
  test("keeps those before, for a week from the last one", async () => {
    cookie = { value: "a.b", expires: 0 };
    start("c", [rangeOf(ID, 1)]);
    await time.runUntil(1_000);
    await fetches.takeBack();
    expect(cookie).toEqual({ value: "a.b.c", expires: EPOCH + 1_000 + WEEK_MS });
  });

  test("holds the last 100 of fetches that are still there, for which browsers and relays have room", async () => {
    start("here", []);
    const before = ["here", ...Array.from({ length: 99 }, (_, index) => `id${index}`)];
    cookie = { value: before.join("."), expires: 0 };
    start("new", [rangeOf(ID, 1)]);
    await fetches.takeBack();
    expect(cookie?.value.split(".")).toEqual(["here", "new"]);
  });

  test("names all of those that end at the same time", async () => {
    start("f", [rangeOf(ID, 1)]);
    start("g", [rangeOf(OTHER_ID, 1)]);
    await fetches.follow();
    await Promise.all([fetches.release(ID), fetches.release(OTHER_ID)]);
    expect(cookie?.value).toBe("f.g");
  });

  test("tells every later worker", async () => {
    start("f", [rangeOf(ID, 1)]);
    await fetches.takeBack();
    host.news();
    await new BackgroundFetches(platform, host).follow();
    expect(host.news()).toEqual([]);
  });
});
