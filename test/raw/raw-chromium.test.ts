import { existsSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test, vi } from "vitest";
import { RawChromium } from "./raw-chromium.ts";

const PAGE = "<!doctype html><script>navigator.serviceWorker.register('/sw.js')</script>";
const WORKER = "setInterval(() => fetch('/beat', { method: 'POST' }), 1_000);";
/** A worker that has missed this many beats is dead. */
const SILENCE_MS = 10_000;

let browser: RawChromium | undefined;
let server: Server | undefined;
afterEach(async () => {
  await browser?.dispose();
  server?.closeAllConnections();
  server?.close();
});

test("a worker with no event to serve is stopped after about 30 s, with its page open: no debugger keeps it", async () => {
  let beats = 0;
  let lastBeatAt = Number.POSITIVE_INFINITY;
  server = createServer((request, response) => {
    if (request.method === "POST") {
      beats++;
      lastBeatAt = Date.now();
    }
    const isWorker = request.url === "/sw.js";
    response.setHeader("Content-Type", isWorker ? "text/javascript" : "text/html");
    response.end(isWorker ? WORKER : PAGE);
  }).listen(0, "localhost");
  await vi.waitUntil(() => server?.listening);
  browser = await RawChromium.start();

  const tab = await browser.open(`http://localhost:${(server.address() as AddressInfo).port}/`);
  await vi.waitUntil(() => beats > 0, { timeout: 30_000 });
  const firstBeatAt = Date.now();
  await vi.waitUntil(() => Date.now() - lastBeatAt > SILENCE_MS, { timeout: 120_000, interval: 500 });

  const livedMs = lastBeatAt - firstBeatAt;
  expect(livedMs).toBeGreaterThan(15_000);
  expect(livedMs).toBeLessThan(75_000);
  expect(await tab.evaluate("document.visibilityState")).toBe("visible");
}, 180_000);

test("a tab can be hidden and shown, and what it stored outlives a crash", async () => {
  server = createServer((_request, response) => {
    response.setHeader("Content-Type", "text/html").end("<!doctype html>");
  }).listen(0, "localhost");
  await vi.waitUntil(() => server?.listening);
  const url = `http://localhost:${(server.address() as AddressInfo).port}/`;
  browser = await RawChromium.start();

  const tab = await browser.open(url);
  const cover = await tab.hide();
  expect(await tab.evaluate("document.visibilityState")).toBe("hidden");
  await cover.close();
  await tab.show();
  await tab.evaluate(
    "new Promise((done, fail) => { const opening = indexedDB.open('kept'); opening.onsuccess = done; opening.onerror = fail })",
  );

  await browser.kill();
  await browser.restart();
  const next = await browser.open(url);
  expect(await next.evaluate("indexedDB.databases().then((all) => all.map(({ name }) => name))")).toEqual([
    "kept",
  ]);
  await browser.dispose();
  expect(existsSync(browser.profile)).toBe(false);
}, 60_000);
