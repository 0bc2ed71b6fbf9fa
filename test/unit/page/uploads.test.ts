import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { settlementOf } from "../../support/settlement.ts";
import { ID } from "../records.ts";
import { PageBed, snapshot } from "./page-bed.ts";

const object = { key: "k", size: 1, etag: "e", location: "https://s3.test/k" };

let bed: PageBed;
beforeEach(async () => {
  bed = new PageBed();
  bed.list = [snapshot(ID, { state: "uploading" })];
  await bed.open();
});

describe("a listener of the app that throws", () => {
  const reported = vi.fn();
  beforeEach(() => {
    reported.mockReset();
    vi.stubGlobal("reportError", reported);
  });
  afterEach(() => {
    vi.unstubAllGlobals();
  });
  const broken = () => {
    throw new Error("the app's own fault");
  };

  test("keeps neither other listeners nor finished() from hearing the end, and is reported each time", async () => {
    bed.uploads.subscribe(broken);
    const heard: string[] = [];
    bed.uploads.subscribe(([upload]) => heard.push(upload?.state ?? ""));
    const end = settlementOf(bed.uploads.finished(ID));
    bed.change(snapshot(ID, { state: "done", object }));
    await bed.time.settle();
    expect(end).toMatchObject({ state: "fulfilled", value: object });
    expect(heard).toEqual(["uploading", "done"]);
    expect(reported.mock.calls).toEqual([
      [new Error("the app's own fault")],
      [new Error("the app's own fault")],
    ]);
  });

  test("in its first call still gives subscribe's undo", () => {
    const undo = bed.uploads.subscribe(broken);
    undo();
    bed.change(snapshot(ID, { uploadedBytes: 1 }));
    expect(reported).toHaveBeenCalledOnce();
  });

  test("keeps no command from its answer", async () => {
    bed.uploads.subscribe(broken);
    bed.sequence += 1;
    const paused = settlementOf(bed.uploads.pause(ID));
    await bed.time.settle();
    bed.sequence -= 1;
    bed.change(snapshot(ID, { state: "paused", reason: "user" }));
    await bed.time.settle();
    expect(paused.state).toBe("fulfilled");
  });
});

describe("close()", () => {
  test("tells whoever waits for the end of an upload", async () => {
    const end = settlementOf(bed.uploads.finished(ID));
    bed.uploads.close();
    await bed.time.settle();
    expect(end.error).toMatchObject({ code: "CONNECTION_CLOSED" });
    expect((end.error as Error).message).toMatch(/close\(\).*connect again/);
  });

  test("leaves nothing that is asked afterwards without an answer", async () => {
    bed.uploads.close();
    const asked = [settlementOf(bed.uploads.finished(ID)), settlementOf(bed.uploads.pause(ID))];
    await bed.time.settle();
    for (const each of asked) expect(each.error).toMatchObject({ code: "CONNECTION_CLOSED" });
    const heard = vi.fn();
    bed.uploads.subscribe(heard);
    expect(heard).toHaveBeenCalledExactlyOnceWith(bed.uploads.list());
  });

  test("settles a command that was carried out and only waits for the list to show it", async () => {
    bed.sequence += 1;
    const paused = settlementOf(bed.uploads.pause(ID));
    await bed.time.settle();
    expect(paused.state).toBe("pending");
    bed.uploads.close();
    await bed.time.settle();
    expect(paused.state).toBe("fulfilled");
  });

  test("still gives the end of what had ended before", async () => {
    bed.change(snapshot(ID, { state: "done", object }));
    bed.uploads.close();
    expect(await bed.uploads.finished(ID)).toEqual(object);
  });

  test("leaves no timer behind", async () => {
    bed.uploads.close();
    await bed.time.runUntil(60_000);
    expect(bed.time.nextAt).toBeUndefined();
  });
});

describe("a broadcast that is lost", () => {
  const other = "00000000-0000-4000-8000-0000000000ff";

  test("shows by the number of the next one: the list is fetched anew", async () => {
    const end = settlementOf(bed.uploads.finished(ID));
    bed.change(snapshot(ID, { state: "done", object }), { isHeard: false });
    expect(bed.callsOf("list")).toBe(1);
    bed.change(snapshot(other));
    await bed.time.settle();
    expect(bed.callsOf("list")).toBe(2);
    expect(end).toMatchObject({ state: "fulfilled", value: object });
  });

  test("is still missed after a fetch that failed, and fetched by the next broadcast", async () => {
    const answer = bed.worker.replies.get("list");
    bed.worker.replies.set("list", () => ({ ok: false, error: { code: "DATABASE_CLOSED", detail: "" } }));
    bed.change(snapshot(ID, { state: "done", object }), { isHeard: false });
    bed.change(snapshot(other));
    await bed.time.settle();
    expect(bed.uploads.get(ID)?.state).toBe("uploading");
    if (answer) bed.worker.replies.set("list", answer);
    bed.change(snapshot(other, { uploadedBytes: 1 }));
    await bed.time.settle();
    expect(bed.uploads.get(ID)?.state).toBe("done");
  });

  test("with none after it shows by the silence", async () => {
    const end = settlementOf(bed.uploads.finished(ID));
    bed.change(snapshot(ID, { state: "done", object }), { isHeard: false });
    await bed.time.runUntil(61_000);
    expect(end).toMatchObject({ state: "fulfilled", value: object });
  });

  test.each(["pageshow", "visible", "resume"] as const)(
    "while the page was frozen shows at its %s",
    async (event) => {
      bed.change(snapshot(ID, { state: "paused", reason: "user" }));
      bed.change(snapshot(ID, { state: "done", object }), { isHeard: false });
      bed.fire(event, true);
      await bed.time.settle();
      expect(bed.uploads.get(ID)?.state).toBe("done");
    },
  );

  test("is not looked for where nothing moves", async () => {
    bed.change(snapshot(ID, { state: "paused", reason: "user" }));
    await bed.time.runUntil(30_000);
    const before = bed.callsOf("list");
    await bed.time.runUntil(600_000);
    expect(bed.callsOf("list")).toBe(before);
  });
});

describe("a wait that a clock ends", () => {
  test("has the page wake the worker when its time has come, and when the page is seen again", async () => {
    const nextAttemptAt = bed.clock.now() + 3_600_000;
    bed.change(snapshot(ID, { state: "waiting", reason: "conditions", nextAttemptAt }));
    await bed.time.runUntil(3_599_999);
    expect(bed.wakes).toBe(0);
    bed.fire("visible");
    expect(bed.wakes).toBe(1);
    await bed.time.runUntil(3_600_000);
    expect(bed.wakes).toBe(2);
  });
});
