import { beforeEach, describe, expect, test } from "vitest";
import { PROTOCOL_VERSION } from "../../src/protocol/protocol.ts";
import { keepAlive } from "../../sw/pages/keep-alive.ts";
import { PageClients } from "../../sw/pages/page-clients.ts";
import type { Platform } from "../../sw/platform/platform.ts";
import { settlementOf } from "../support/settlement.ts";
import { virtualClock } from "../support/virtual-clock.ts";
import { VirtualTime } from "../support/virtual-time.ts";

class Page {
  readonly heard: unknown[] = [];

  constructor(
    readonly id: string,
    readonly url = "https://app.test/app/",
  ) {}

  postMessage(message: unknown) {
    this.heard.push(message);
  }
}

const stay = { backhaul: PROTOCOL_VERSION, type: "stay" } as const;
let time: VirtualTime;
let pages: Page[];
let clock: ReturnType<typeof virtualClock>;
let clients: PageClients;

beforeEach(() => {
  time = new VirtualTime();
  pages = [new Page("1"), new Page("2")];
  clock = virtualClock(time);
  const worker = { scope: "https://app.test/app/" } as Platform["worker"];
  clients = new PageClients({ clock, worker, clients: { windows: async () => pages } });
});

test("every page is asked for a message every 20 s while there is work", async () => {
  keepAlive({ clock }, clients, () => true);
  await time.runUntil(19_999);
  expect(pages.map(({ heard }) => heard)).toEqual([[], []]);
  await time.runUntil(20_000);
  expect(pages.map(({ heard }) => heard)).toEqual([[stay], [stay]]);
  await time.runUntil(60_000);
  expect(pages.map(({ heard }) => heard.length)).toEqual([3, 3]);
});

test("no page is asked while there is no work", async () => {
  let isBusy = false;
  keepAlive({ clock }, clients, () => isBusy);
  await time.runUntil(60_000);
  expect(pages[0]?.heard).toEqual([]);
  isBusy = true;
  await time.runUntil(80_000);
  expect(pages[0]?.heard).toEqual([stay]);
});

test("a message goes to the pages that are there at that time", async () => {
  await clients.tell(stay);
  const [gone, stays] = pages as [Page, Page];
  const late = new Page("3");
  pages = [stays, late];
  await clients.tell(stay);
  expect([gone.heard.length, stays.heard.length, late.heard.length]).toEqual([1, 2, 1]);
});

describe("several apps at one origin", () => {
  const elsewhere = new Page("other", "https://app.test/other/");

  test("a page of another app is asked nothing, and does not count", async () => {
    pages = [elsewhere];
    await clients.tell(stay);
    expect(elsewhere.heard).toEqual([]);
    expect(await clients.all()).toEqual([]);
    expect(await clients.ask({ backhaul: PROTOCOL_VERSION, type: "syncUsed" })).toBe(false);
  });

  test("a page outside of the worker's scope counts once it has spoken to the worker, for as long as it is there", async () => {
    pages = [elsewhere];
    clients.spoke(elsewhere.id);
    expect(await clients.all()).toEqual([elsewhere]);
    pages = [];
    await clients.all();
    pages = [elsewhere];
    expect(await clients.all()).toEqual([]);
  });
});

describe("a question to the pages", () => {
  const question = { backhaul: PROTOCOL_VERSION, type: "syncUsed" } as const;

  test("counts as heard once one of them has answered", async () => {
    const asked = settlementOf(clients.ask(question));
    await time.runUntil(100);
    expect([asked.state, pages.map(({ heard }) => heard)]).toEqual(["pending", [[question], [question]]]);
    clients.spoke("2");
    await time.settle();
    expect(asked.value).toBe(true);
  });

  test("to pages that never connected is heard by nobody", async () => {
    const asked = settlementOf(clients.ask(question));
    await time.runUntil(2_000);
    expect(asked.value).toBe(false);
  });
});
