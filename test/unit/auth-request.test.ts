import { beforeEach, describe, expect, test } from "vitest";
import { AuthRequest } from "../../sw/pages/auth-request.ts";
import { PageClients } from "../../sw/pages/page-clients.ts";
import type { Platform } from "../../sw/platform/platform.ts";
import { settlementOf } from "../support/settlement.ts";
import { virtualClock } from "../support/virtual-clock.ts";
import { VirtualTime } from "../support/virtual-time.ts";

let time: VirtualTime;
let heard: unknown[];
let pages: number;
let request: AuthRequest;

function requestTo(windows: Platform["clients"]["windows"]): AuthRequest {
  const clock = virtualClock(time);
  const worker = { scope: "https://app.test/" } as Platform["worker"];
  return new AuthRequest({ clock }, new PageClients({ clock, worker, clients: { windows } }));
}

beforeEach(() => {
  time = new VirtualTime();
  heard = [];
  pages = 1;
  const windows = async () =>
    Array.from({ length: pages }, (_, index) => ({
      id: `page ${index}`,
      url: "https://app.test/",
      postMessage: (message: unknown) => heard.push(message),
    }));
  request = requestTo(windows);
});

describe("a request for headers", () => {
  test("asks every page, and settles once one has given some", async () => {
    pages = 2;
    const asked = settlementOf(request.ask());
    await time.settle();
    expect(heard).toMatchObject([{ type: "authWanted" }, { type: "authWanted" }]);
    expect(asked.state).toBe("pending");
    request.answered();
    await time.settle();
    expect(asked.state).toBe("fulfilled");
  });

  test("settles at once where no page is there", async () => {
    pages = 0;
    const asked = settlementOf(request.ask());
    await time.settle();
    expect([asked.state, heard]).toEqual(["fulfilled", []]);
  });

  test("settles after 5 s if pages have none to give", async () => {
    const asked = settlementOf(request.ask());
    await time.runUntil(4_999);
    expect(asked.state).toBe("pending");
    await time.runUntil(5_000);
    expect(asked.state).toBe("fulfilled");
  });

  test("is sent once for all callers meanwhile, and again for a later one", async () => {
    const asked = [request.ask(), request.ask(), request.ask()].map(settlementOf);
    await time.settle();
    expect(heard).toHaveLength(1);
    request.answered();
    await time.settle();
    expect(asked.map(({ state }) => state)).toEqual(["fulfilled", "fulfilled", "fulfilled"]);
    const later = settlementOf(request.ask());
    await time.settle();
    expect([heard.length, later.state]).toEqual([2, "pending"]);
  });

  test("has its own 5 s, though an earlier one was answered in less", async () => {
    void request.ask();
    await time.settle();
    request.answered();
    await time.runUntil(4_000);
    const later = settlementOf(request.ask());
    await time.runUntil(6_000);
    expect(later.state).toBe("pending");
    await time.runUntil(9_000);
    expect(later.state).toBe("fulfilled");
  });

  test("settles where pages can't be asked", async () => {
    request = requestTo(() => Promise.reject(new Error("gone")));
    const asked = [settlementOf(request.ask()), settlementOf(request.ask())];
    await time.runUntil(10_000);
    expect(asked.map(({ state }) => state)).not.toContain("pending");
  });
});
