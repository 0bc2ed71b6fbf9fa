import { beforeEach, expect, test } from "vitest";
import { PROTOCOL_VERSION } from "../../src/protocol/protocol.ts";
import { keepAlive, tellPages } from "../../sw/pages/keep-alive.ts";
import { virtualClock } from "../support/virtual-clock.ts";
import { VirtualTime } from "../support/virtual-time.ts";

class Page {
  readonly url = "https://app.test/";
  readonly heard: unknown[] = [];

  constructor(readonly id: string) {}

  postMessage(message: unknown) {
    this.heard.push(message);
  }
}

const stay = { backhaul: PROTOCOL_VERSION, type: "stay" } as const;
let time: VirtualTime;
let pages: Page[];
let platform: Parameters<typeof keepAlive>[0];

beforeEach(() => {
  time = new VirtualTime();
  pages = [new Page("1"), new Page("2")];
  platform = { clock: virtualClock(time), clients: { windows: async () => pages } };
});

test("every page is asked for a message every 20 s while there is work", async () => {
  keepAlive(platform, () => true);
  await time.runUntil(19_999);
  expect(pages.map(({ heard }) => heard)).toEqual([[], []]);
  await time.runUntil(20_000);
  expect(pages.map(({ heard }) => heard)).toEqual([[stay], [stay]]);
  await time.runUntil(60_000);
  expect(pages.map(({ heard }) => heard.length)).toEqual([3, 3]);
});

test("no page is asked while there is no work", async () => {
  let isBusy = false;
  keepAlive(platform, () => isBusy);
  await time.runUntil(60_000);
  expect(pages[0]?.heard).toEqual([]);
  isBusy = true;
  await time.runUntil(80_000);
  expect(pages[0]?.heard).toEqual([stay]);
});

test("a message goes to the pages that are there at that time", async () => {
  await tellPages(platform, stay);
  const [gone, stays] = pages as [Page, Page];
  const late = new Page("3");
  pages = [stays, late];
  await tellPages(platform, stay);
  expect([gone.heard.length, stays.heard.length, late.heard.length]).toEqual([1, 2, 1]);
});
