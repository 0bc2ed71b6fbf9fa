/** `npm run bench:small-files`: 200 small files through the demo's page, and how busy that keeps its main thread. */
import { launchChromium } from "../test/support/chromium.ts";
import { startDemo } from "../test/support/demo-process.ts";

const COUNT = 200;
const BYTES = 20_000;

const demo = await startDemo();
const browser = await launchChromium();
try {
  const page = await browser.newPage();
  await page.goto(demo.app);
  await page.waitForFunction(() => "uploads" in globalThis);
  // Made in the page: Playwright's own way of picking 200 files is a long task itself.
  await page.evaluate(
    ([count, bytes]) => {
      const picked = new DataTransfer();
      for (let index = 0; index < count; index++)
        picked.items.add(new File([new Uint8Array(bytes).fill(index)], `small-${index}.bin`));
      Object.assign(globalThis, { picked });
    },
    [COUNT, BYTES] as const,
  );
  await page.evaluate(() => {
    const tasks: number[] = [];
    Object.assign(globalThis, { longTasks: tasks });
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) tasks.push(duration);
    }).observe({ type: "longtask" });
  });
  const startedAt = performance.now();
  await page.evaluate(() => {
    const input = document.querySelector<HTMLInputElement>('[data-testid="file-input"]') as HTMLInputElement;
    input.files = (globalThis as unknown as { picked: DataTransfer }).picked.files;
    // In a task of its own, as a user's pick is.
    setTimeout(() => input.dispatchEvent(new Event("change", { bubbles: true })));
  });
  await page.waitForFunction(
    (count) => document.querySelectorAll('[data-testid="upload"][data-state="done"]').length === count,
    COUNT,
    { timeout: 300_000 },
  );
  const seconds = (performance.now() - startedAt) / 1_000;
  const longTasks = await page.evaluate(() => (globalThis as unknown as { longTasks: number[] }).longTasks);
  console.log(
    `${COUNT} files of ${BYTES} bytes: ${seconds.toFixed(1)} s, ${(COUNT / seconds).toFixed(0)} files/s`,
  );
  console.log(
    `main thread: ${longTasks.length} tasks over 50 ms, the longest ${Math.max(0, ...longTasks)} ms`,
  );
} finally {
  await browser.close();
  await demo.stop();
}
