import type { Browser, Page } from "playwright";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PROTOCOL_VERSION } from "../../src/protocol/protocol.ts";
import { type BrowserBed, startBrowserBed } from "./browser-bed.ts";

let bed: BrowserBed;
let page: Page;
beforeAll(async () => {
  bed = await startBrowserBed();
  page = await bed.openPage();
});
afterAll(() => bed?.close());

test.each([
  ["an empty key", { key: "" }, "KEY_INVALID"],
  ["a key with ..", { key: "a/../b" }, "KEY_INVALID"],
  ["a control character", { key: "a\nb" }, "KEY_INVALID"],
  ["a key of 1,025 bytes", { key: `${"ä".repeat(512)}a` }, "KEY_INVALID"],
  ["too small a part", { key: "a", partSize: 1024 }, "PART_SIZE_INVALID"],
  ["half a byte", { key: "a", partSize: 5242880.5 }, "PART_SIZE_INVALID"],
  ["a key that is no string", { key: 7 }, "OPTION_INVALID"],
  ["a priority that is no number", { key: "a", priority: "high" }, "OPTION_INVALID"],
  ["an endless priority", { key: "a", priority: Number.POSITIVE_INFINITY }, "OPTION_INVALID"],
  ["a day that never comes", { key: "a", conditions: { notBefore: "tomorrow" } }, "OPTION_INVALID"],
  ["an hour too many", { key: "a", conditions: { hours: { from: 22, to: 25 } } }, "OPTION_INVALID"],
  ["no hours at all", { key: "a", conditions: { hours: { from: 6, to: 6 } } }, "OPTION_INVALID"],
])("%s is refused with what to do, and nothing is added", async (_name, options, code) => {
  const error = await page.evaluate(
    (wanted) =>
      uploads.add(new File(["x"], "x"), wanted as { key: string }).then(
        () => undefined,
        (reason: Error & { code: string }) => ({
          name: reason.name,
          code: reason.code,
          message: reason.message,
        }),
      ),
    options,
  );
  expect(error).toMatchObject({ name: "UploadError", code });
  expect(error?.message).toMatch(/\. \(|\.$/);
  expect(await page.evaluate(() => uploads.list())).toEqual([]);
});

test("one bad file among several keeps all of them from being added", async () => {
  const code = await page.evaluate(() =>
    uploads
      .addAll([
        { file: new File(["x"], "x"), key: "good" },
        { file: new File(["x"], "x"), key: "" },
      ])
      .catch((error: { code: string }) => error.code),
  );
  expect(code).toBe("KEY_INVALID");
  expect(await page.evaluate(() => uploads.list())).toEqual([]);
});

test("a value that is not a file is refused", async () => {
  const code = await page.evaluate(() =>
    uploads.add("text" as unknown as File, { key: "a" }).catch((error: { code: string }) => error.code),
  );
  expect(code).toBe("FILE_INVALID");
});

test("a command for an upload that does not exist is refused", async () => {
  const codes = await page.evaluate(async () => {
    const codeOf = (error: { code: string }) => error.code;
    const id = crypto.randomUUID();
    return [await uploads.pause(id).catch(codeOf), await uploads.finished(id).catch(codeOf)];
  });
  expect(codes).toEqual(["UPLOAD_NOT_FOUND", "UPLOAD_NOT_FOUND"]);
});

test("a page of another protocol version is told so", async () => {
  const answer = await page.evaluate(async () => {
    const registration = await navigator.serviceWorker.ready;
    const answered = new Promise((resolve) => {
      navigator.serviceWorker.addEventListener(
        "message",
        ({ data }) => data.type === "mismatch" && resolve(data),
      );
    });
    registration.active?.postMessage({ backhaul: 0, type: "call", message: { id: "1" } });
    return answered;
  });
  expect(answer).toEqual({ backhaul: PROTOCOL_VERSION, type: "mismatch" });
});

test("messages that are no calls of the API reach nothing", async () => {
  const reached = await page.evaluate(async (backhaul) => {
    const registration = await navigator.serviceWorker.ready;
    const answered: string[] = [];
    const genuineAnswered = new Promise<void>((resolve) => {
      navigator.serviceWorker.addEventListener("message", ({ data }) => {
        if (data.type === "reply") answered.push(data.message.id);
        if (data.message?.id === "5") resolve();
      });
    });
    const RAW = (value: unknown) => ({ type: "RAW", value });
    const forged = [
      { id: "1", type: "SET", path: ["list"], value: RAW(1) },
      { id: "2", type: "APPLY", path: ["constructor", "constructor"], argumentList: [RAW("return 1")] },
      { id: "3", type: "APPLY", path: [], argumentList: [] },
      { id: "4", type: "GET", path: ["list"] },
      { id: "5", type: "APPLY", path: ["list"], argumentList: [] },
    ];
    for (const message of forged) registration.active?.postMessage({ backhaul, type: "call", message });
    await genuineAnswered;
    return answered;
  }, PROTOCOL_VERSION);
  expect(reached).toEqual(["5"]);
});

test("every call fails with a reason in a browser that gives no database", async () => {
  const browser = bed.context.browser() as Browser;
  const context = await browser.newContext();
  // Site data blocked, as in Firefox's strict private windows: the worker's script starts with a database that fails.
  await context.route("**/sw.js*", async (route) => {
    const response = await route.fetch();
    const blocked = `indexedDB.open = () => { throw new DOMException("blocked", "SecurityError"); };\n`;
    await route.fulfill({ response, body: blocked + (await response.text()) });
  });
  const other = await context.newPage();
  const failure = other.waitForEvent("pageerror");
  await other.goto(bed.url);
  expect((await failure).message).toMatch(/IndexedDB.*Leave private browsing/);
  await context.close();
});
