import { join } from "node:path";
import type { UploadSnapshot } from "backhaul";
import type { Page } from "playwright";
import { type BrowserBed, finished } from "../test/browser/browser-bed.ts";
import { writeRandomFile } from "../test/support/random-file.ts";

/** Adds a file of random bytes as a user would, and says how it goes on. Its bytes are compared at the end. */
export async function addFromDisk(
  bed: BrowserBed,
  page: Page,
  key: string,
  size: number,
  options: { readonly partSize?: number } = {},
) {
  const path = join(bed.folder, key);
  const sha256 = await writeRandomFile(path, size);
  await page.setInputFiles("input", path);
  const id = await page.evaluate(
    ([key, options]) => {
      const [file] = document.querySelector("input")?.files ?? [];
      return uploads.add(file as File, { key, ...options });
    },
    [key, options] as const,
  );
  return {
    snapshot: () => page.evaluate((id) => uploads.get(id) as UploadSnapshot, id),
    /** Waits until more than this has arrived. */
    async changed(uploadedBytes: number): Promise<void> {
      await page.waitForFunction(
        ([id, bytes]) => (uploads.get(id)?.uploadedBytes ?? Number.POSITIVE_INFINITY) > bytes,
        [id, uploadedBytes] as const,
        { timeout: 300_000 },
      );
    },
    async finished(): Promise<void> {
      await finished(page, id);
      if ((await bed.sha256(key)) !== sha256) throw new Error("what arrived is not what was sent");
    },
  };
}
