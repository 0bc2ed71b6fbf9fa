import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { AxeResults } from "axe-core";
import type { Page } from "playwright";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type DemoProcess, startDemo } from "../support/demo-process.ts";
import { type BrowserBed, startBrowserBed } from "./browser-bed.ts";
import { buildApp } from "./build-app.ts";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
// At this speed a large file is on its way for long enough to be paused.
const BYTES_PER_SECOND = 2 * 2 ** 20;
const LARGE_BYTES = 20 * 2 ** 20;

let bed: BrowserBed;
let demo: DemoProcess;
beforeAll(async () => {
  bed = await startBrowserBed({ linkBytesPerSecond: BYTES_PER_SECOND });
  demo = await startDemo();
});
afterAll(async () => {
  await bed?.close();
  await demo?.stop();
});

/** What axe-core finds, in light and dark and on a phone: its rule and the elements. */
async function violationsOf(page: Page, context: string): Promise<string[]> {
  await page.addScriptTag({ path: AXE });
  const found: string[] = [];
  for (const [colorScheme, width] of [
    ["light", 1280],
    ["dark", 1280],
    ["light", 360],
  ] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.setViewportSize({ width, height: 800 });
    const { violations, passes } = await page.evaluate(
      (root) => (globalThis as unknown as { axe: { run(root: string): Promise<AxeResults> } }).axe.run(root),
      context,
    );
    expect(passes.length).toBeGreaterThan(0);
    for (const { id, nodes } of violations)
      found.push(`${colorScheme} ${width}: ${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  }
  return found;
}

/** The names of what the Tab key reaches, from the top of the page to its end. */
async function reachedByTab(page: Page): Promise<string[]> {
  // Where the focus has been is forgotten by this alone.
  await page.reload();
  await page.locator("li[data-state]").first().waitFor();
  const names: string[] = [];
  for (;;) {
    await page.keyboard.press("Tab");
    const name = await page.evaluate(() => {
      const element = document.activeElement;
      if (!element || element === document.body) return null;
      const label =
        element instanceof HTMLInputElement ? element.labels?.[0]?.textContent : element.textContent;
      return (element.ariaLabel ?? label ?? "").trim();
    });
    if (name === null || names.includes(name)) return names;
    names.push(name);
  }
}

/** Picks files, one of which is done and the other paused, by the keyboard. */
async function pauseByKeyboard(page: Page): Promise<void> {
  const input = page.locator("input[type=file]");
  await input.setInputFiles({ name: "small.txt", mimeType: "text/plain", buffer: Buffer.from("small") });
  await page.locator("li[data-state=done]", { hasText: "small.txt" }).waitFor();
  const large = join(bed.folder, "large.bin");
  await writeFile(large, Buffer.alloc(LARGE_BYTES));
  await input.setInputFiles(large);
  await page.getByRole("button", { name: "Pause: large.bin" }).focus();
  await page.keyboard.press("Enter");
  await page.locator("li[data-state=paused]", { hasText: "large.bin" }).waitFor();
  const resume = page.getByRole("button", { name: "Resume: large.bin" });
  expect(await resume.evaluate((button) => button === document.activeElement)).toBe(true);
}

test.each([
  ["React's drop zone and list", "react", "react.tsx"],
  ["the element", "element", "element.ts"],
])(
  "nothing in %s has a flaw that axe-core finds, and all can be done by the keyboard",
  async (_, name, file) => {
    // Each in a list of its own.
    const context = (await bed.context.browser()?.newContext()) ?? bed.context;
    const page = await context.newPage();
    await page.goto(await buildApp(bed, name, file));
    await pauseByKeyboard(page);
    expect(await violationsOf(page, "body")).toEqual([]);
    expect(await reachedByTab(page)).toEqual([
      "Choose files, or drop them here",
      "Remove: small.txt",
      "Resume: large.bin",
      "Cancel: large.bin",
    ]);
    await page.keyboard.press("Shift+Tab");
    await page.getByRole("button", { name: "Cancel: large.bin" }).focus();
    await page.keyboard.press("Space");
    await page.locator("li[data-state=canceled]", { hasText: "large.bin" }).waitFor();
    await context.close();
  },
);

test("the demo has no flaw that axe-core finds, empty or with uploads, and all of it can be reached by the keyboard", async () => {
  const context = (await bed.context.browser()?.newContext()) ?? bed.context;
  const page = await context.newPage();
  await page.goto(demo.app);
  await page.locator("body[data-connection=connected]").waitFor();
  expect(await violationsOf(page, "html")).toEqual([]);
  await page.locator("input[type=file]").setInputFiles({
    name: "small.txt",
    mimeType: "text/plain",
    buffer: Buffer.from("small"),
  });
  await page.locator("li[data-state=done]", { hasText: "small.txt" }).waitFor();
  expect(await violationsOf(page, "html")).toEqual([]);
  expect(await reachedByTab(page)).toEqual(
    expect.arrayContaining(["Choose files", "Clear finished", "Remove: small.txt"]),
  );
  await context.close();
});
