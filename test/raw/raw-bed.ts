import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HeadObjectCommand } from "@aws-sdk/client-s3";
import type { AddOptions } from "backhaul";
import { vi } from "vitest";
import type { RequestEntry } from "../../demo/store/server.ts";
import { buildTestApp } from "../browser/app/build.ts";
import { writeRandomFile } from "../support/random-file.ts";
import { startTestBed, type TestBed, type TestBedOptions } from "../support/test-bed.ts";
import { RawChromium } from "./raw-chromium.ts";
import type { RawTab } from "./raw-tab.ts";

export interface RawBed extends TestBed {
  readonly browser: RawChromium;
  /** For files that a test makes. */
  readonly folder: string;
  /** Opens the usage page, connected. `options` are the worker's. */
  openPage(options?: Record<string, unknown>): Promise<RawTab>;
  /** Puts another version of the worker's script on the server. */
  changeWorker(): Promise<void>;
  /** Waits until the object is there, with or without a page. */
  arrives(key: string, timeoutMs: number): Promise<void>;
}

export interface AddedFile {
  readonly id: string;
  readonly key: string;
  readonly size: number;
  readonly sha256: string;
}

/** App, S3 and a browser with no debugger on its workers. */
export async function startRawBed(options: Omit<TestBedOptions, "root"> = {}): Promise<RawBed> {
  const folder = await mkdtemp(join(tmpdir(), "backhaul-app-"));
  const root = join(folder, "app");
  await buildTestApp(root);
  const bed = await startTestBed({ ...options, root });
  const browser = await RawChromium.start();
  return {
    ...bed,
    browser,
    folder,
    async openPage(workerOptions = {}) {
      const tab = await browser.open(
        `${bed.url}?options=${encodeURIComponent(JSON.stringify(workerOptions))}`,
      );
      await tab.until("'uploads' in globalThis");
      return tab;
    },
    changeWorker: () => appendFile(join(root, "sw.js"), "\n// another version\n"),
    async arrives(key, timeoutMs) {
      const head = new HeadObjectCommand({ Bucket: bed.bucket, Key: key });
      const isThere = () => {
        if (browser.failure !== undefined) throw new Error(`the browser has crashed: ${browser.failure}`);
        return bed.s3.send(head).then(
          () => true,
          () => false,
        );
      };
      await vi.waitUntil(isThere, { timeout: timeoutMs, interval: 250 });
    },
    async close() {
      await browser.dispose();
      await bed.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Adds files of random bytes, from disk as a user would, and settles once they are stored. */
export async function addFiles(
  bed: Pick<RawBed, "folder">,
  tab: RawTab,
  files: readonly { readonly key: string; readonly size: number }[],
  options: Partial<AddOptions> = {},
): Promise<AddedFile[]> {
  const made = await Promise.all(
    files.map(async ({ key, size }) => {
      const path = join(bed.folder, key);
      return { key, size, path, sha256: await writeRandomFile(path, size) };
    }),
  );
  await tab.pickFiles(made.map(({ path }) => path));
  const ids = await tab.evaluate((options: Partial<AddOptions>) => {
    const picked = document.querySelector("input")?.files ?? [];
    return uploads.addAll([...picked].map((file) => ({ ...options, file, key: file.name })));
  }, options);
  return made.map(({ key, size, sha256 }, index) => ({ id: ids[index] as string, key, size, sha256 }));
}

export async function addFile(
  bed: Pick<RawBed, "folder">,
  tab: RawTab,
  key: string,
  size: number,
  options?: Partial<AddOptions>,
): Promise<AddedFile> {
  const [file] = await addFiles(bed, tab, [{ key, size }], options);
  return file as AddedFile;
}

/** Waits until S3 has confirmed this share of the file. */
export async function untilShare(tab: RawTab, { id, size }: AddedFile, share: number): Promise<void> {
  await tab.until(
    (id: string, bytes: number) => (uploads.get(id)?.uploadedBytes ?? 0) >= bytes,
    [id, size * share],
    600_000,
  );
}

/** How many parts the store has got of an upload. */
export function partsStored({ requests }: TestBed, key: string): number {
  return requests.filter(
    (request) => request.key === key && request.operation === "UploadPart" && request.stored,
  ).length;
}

/** Parts of which S3 had got a copy before `at`, and that were sent again. */
export function sentAgainAfter({ requests }: TestBed, at: number): RequestEntry[] {
  const puts = requests.filter(({ operation }) => operation === "UploadPart");
  const before = new Set(puts.filter(({ stored, endedAt }) => stored && endedAt < at).map(partId));
  return puts.filter((put) => put.startedAt > at && before.has(partId(put)));
}

function partId({ uploadId, partNumber }: RequestEntry): string {
  return `${uploadId} ${partNumber}`;
}

/** Whether the relay has sent this, and not the worker. */
export function isRelayed({ headers }: RequestEntry): boolean {
  return headers.origin === undefined;
}
