import { beforeEach, describe, expect, test } from "vitest";
import { Connection } from "../../../src/page/connection.ts";
import { greetWorker } from "../../../src/page/greet-worker.ts";
import { PROTOCOL_VERSION } from "../../../src/protocol/protocol.ts";
import { settlementOf } from "../../support/settlement.ts";
import { virtualClock } from "../../support/virtual-clock.ts";
import { VirtualTime } from "../../support/virtual-time.ts";
import { FakeWorker } from "./worker-link.ts";

let time: VirtualTime;
let worker: FakeWorker;
beforeEach(() => {
  time = new VirtualTime();
  worker = new FakeWorker();
  worker.isServing = false;
});

const greet = () => {
  const platform = { clock: virtualClock(time), worker };
  return settlementOf(greetWorker(platform, new Connection(platform)));
};
const welcome = () => worker.say({ backhaul: PROTOCOL_VERSION, type: "welcome" });
const greetings = () => worker.heard.filter(({ type }) => type === "hello").length;
const answersAs = (version: number) => worker.say({ backhaul: version, type: "mismatch" });

describe("a worker that carries uploads", () => {
  test("is known by its answer, and left alone from then on", async () => {
    const greeted = greet();
    welcome();
    await time.runUntil(60_000);
    expect([greeted.state, greetings(), time.nextAt]).toEqual(["fulfilled", 1, undefined]);
  });

  test("that dies over the greeting is greeted again", async () => {
    const greeted = greet();
    await time.runUntil(3_000);
    expect(greetings()).toBe(4);
    welcome();
    await time.settle();
    expect(greeted.state).toBe("fulfilled");
  });
});

describe("a worker that says nothing", () => {
  test("does not serve uploads, which is said within seconds, with what to do", async () => {
    const greeted = greet();
    await time.runUntil(15_000);
    expect(greeted.error).toMatchObject({ code: "WORKER_NOT_SERVING" });
    expect((greeted.error as Error).message).toMatch(/Call serveUploads/);
    expect(time.nextAt).toBeUndefined();
  });

  test("and has a successor that waits, keeps that one from working", async () => {
    worker.successor = "waiting";
    const greeted = greet();
    await time.runUntil(15_000);
    expect(greeted.error).toMatchObject({ code: "WORKER_WAITING" });
    expect((greeted.error as Error).message).toMatch(/skipWaiting\(\).*install/);
  });

  test("and whose successor is being installed is given the time for that", async () => {
    worker.successor = "installing";
    const greeted = greet();
    await time.runUntil(20_000);
    expect(greeted.state).toBe("pending");
    worker.successor = "none";
    welcome();
    await time.settle();
    expect(greeted.state).toBe("fulfilled");
  });

  test("and whose successor never finishes its installation is not waited for without end", async () => {
    worker.successor = "installing";
    const greeted = greet();
    await time.runUntil(80_000);
    expect(greeted.error).toMatchObject({ code: "WORKER_WAITING", detail: expect.stringMatching(/minute/) });
  });

  test("and whose newer script can't be loaded is to blame less than that script", async () => {
    worker.onUpdate = () => Promise.reject(new TypeError("A bad HTTP response code (404) was received"));
    const greeted = greet();
    await time.runUntil(15_000);
    expect(greeted.error).toMatchObject({
      code: "WORKER_SCRIPT_INVALID",
      detail: expect.stringContaining("(404)"),
    });
    expect(worker.updates).toBe(1);
  });
});

describe("a worker of another version of the protocol", () => {
  test("that is newer is said at once: the page is to be reloaded", async () => {
    const greeted = greet();
    answersAs(PROTOCOL_VERSION + 1);
    await time.settle();
    expect(greeted.error).toMatchObject({
      code: "PROTOCOL_MISMATCH",
      detail: expect.stringMatching(/the page is the older one/),
    });
  });

  test("that is older is looked for anew, and is to be deployed if there is no other", async () => {
    const greeted = greet();
    answersAs(PROTOCOL_VERSION - 1);
    expect(worker.updates).toBeGreaterThan(0);
    await time.runUntil(3_000);
    expect(greeted.error).toMatchObject({
      code: "PROTOCOL_MISMATCH",
      detail: expect.stringMatching(/the worker is the older one/),
    });
  });

  test("that is older gives way to its successor, which answers", async () => {
    const greeted = greet();
    worker.onUpdate = async () => {
      worker.successor = "installing";
    };
    answersAs(PROTOCOL_VERSION - 1);
    await time.runUntil(10_000);
    expect(greeted.state).toBe("pending");
    worker.successor = "none";
    welcome();
    await time.settle();
    expect(greeted.state).toBe("fulfilled");
  });

  test("that is older and keeps its successor waiting is said so", async () => {
    worker.successor = "waiting";
    const greeted = greet();
    answersAs(PROTOCOL_VERSION - 1);
    await time.runUntil(3_000);
    expect(greeted.error).toMatchObject({ code: "WORKER_WAITING" });
  });
});
