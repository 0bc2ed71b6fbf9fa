import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AddOptions, ConnectOptions } from "backhaul";
import type { BrowserContext, CDPSession, Page } from "playwright";
import { launchChromium, openProfile } from "../support/chromium.ts";
import type { Death } from "../support/sent-once.ts";
import { startTestBed, type TestBed, type TestBedOptions } from "../support/test-bed.ts";
import { buildTestApp, type TestWorker } from "./app/build.ts";

/** However busy the machine is: what does not come at all shall fail, and not what is slow. */
const WAIT_MS = 100_000;

export interface BrowserBed extends TestBed {
  /** A browser profile of its own. */
  readonly context: BrowserContext;
  /** Opens the usage page, connected, with options for the worker and for `connectUploads`. */
  openPage(workerOptions?: Record<string, unknown>, options?: Partial<ConnectOptions>): Promise<Page>;
  /** For files that a test makes. */
  readonly folder: string;
}

export interface BrowserBedOptions extends Omit<TestBedOptions, "root"> {
  /** @default "sw.ts", with `httpStorage` */
  readonly worker?: TestWorker;
  /** For the browser's command line. */
  readonly browserArgs?: readonly string[];
  /** A profile on disk, as users have; else it is in memory, as in a private window. */
  readonly onDisk?: boolean;
}

export async function startBrowserBed({
  worker,
  browserArgs,
  onDisk = false,
  ...options
}: BrowserBedOptions = {}): Promise<BrowserBed> {
  const folder = await mkdtemp(join(tmpdir(), "backhaul-app-"));
  const root = join(folder, "app");
  await buildTestApp(root, worker);
  const bed = await startTestBed({ ...options, root });
  const browser = onDisk ? undefined : await launchChromium(browserArgs);
  const context = browser ? await browser.newContext() : await openProfile(join(folder, "profile"));
  context.setDefaultTimeout(WAIT_MS);
  return {
    ...bed,
    context,
    folder,
    async openPage(workerOptions = {}, options = {}) {
      const page = await context.newPage();
      const inUrl = (value: unknown) => encodeURIComponent(JSON.stringify(value));
      await page.goto(`${bed.url}?options=${inUrl(workerOptions)}#${inUrl(options)}`);
      await page.waitForFunction(() => "uploads" in globalThis);
      return page;
    },
    async close() {
      await context.close();
      await browser?.close();
      await bed.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Stops the service worker as the browser would, at once and whatever it is doing. */
export async function workerStopper(page: Page): Promise<() => Promise<Death>> {
  const session: CDPSession = await page.context().newCDPSession(page);
  await session.send("ServiceWorker.enable");
  return async () => {
    const orderedAt = Date.now();
    await session.send("ServiceWorker.stopAllWorkers");
    return { orderedAt, confirmedAt: Date.now() };
  };
}

/** Adds files of random bytes, made in the page, and returns ids and SHA-256 by key. */
export function addRandomFiles(
  page: Page,
  files: readonly ({ readonly size: number } & AddOptions)[],
): Promise<{ id: string; key: string; sha256: string }[]> {
  return page.evaluate(async (wanted) => {
    const made = await Promise.all(
      wanted.map(async ({ size, ...options }) => {
        const bytes = new Uint8Array(size);
        // The most that one call gives.
        for (let at = 0; at < size; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
        const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
        const sha256 = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
        return { ...options, sha256, file: new File([bytes], options.key) };
      }),
    );
    const ids = await uploads.addAll(made.map(({ sha256: _, ...file }) => file));
    return made.map(({ key, sha256 }, index) => ({ id: ids[index] as string, key, sha256 }));
  }, files);
}

export function finished(page: Page, id: string) {
  return page.evaluate((wanted) => uploads.finished(wanted), id);
}

/** The kind of bytes that IndexedDB holds for each upload, read without the library. */
export function bytesKept(page: Page): Promise<{ id: string; kind: string }[]> {
  return page.evaluate(async () => {
    const settled = <T>(request: IDBRequest<T>) =>
      new Promise<T>((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
    const [info] = await indexedDB.databases();
    const database = await settled(indexedDB.open(info?.name as string));
    const bytes = database.transaction("bytes").objectStore("bytes");
    const [ids, kept] = await Promise.all([settled(bytes.getAllKeys()), settled(bytes.getAll())]);
    database.close();
    return kept.map((each: object, index) => ({ id: String(ids[index]), kind: each.constructor.name }));
  });
}
