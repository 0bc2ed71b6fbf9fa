import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Page } from "playwright";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MAX_ADDED } from "../../src/protocol/protocol.ts";
import { type BrowserBed, startBrowserBed } from "./browser-bed.ts";

let bed: BrowserBed;
let page: Page;
beforeAll(async () => {
  bed = await startBrowserBed();
  page = await bed.openPage();
});
afterAll(() => bed?.close());

/** Drops files on the page as a user does, and gives what adding each of them comes to. */
async function drop(paths: readonly string[]) {
  await page.evaluate(() => {
    document.body.style.height = "100vh";
    document.body.ondragover = (event) => event.preventDefault();
    document.body.ondrop = (event) => {
      event.preventDefault();
      Object.assign(globalThis, { dropped: [...(event.dataTransfer?.files ?? [])] });
    };
  });
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files: [...paths], dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"] as const)
    await session.send("Input.dispatchDragEvent", { type, x: 50, y: 50, data });
  await page.waitForFunction(() => "dropped" in globalThis);
  return page.evaluate(() => {
    const { dropped } = globalThis as unknown as { dropped: File[] };
    return Promise.all(
      dropped.map((file) =>
        uploads.add(file, { key: `dropped/${file.name}` }).then(
          async (id) => (await uploads.finished(id)).key,
          ({ code, message }: { code: string; message: string }) => ({ code, message }),
        ),
      ),
    );
  });
}

test("a folder among dropped files is refused by name, with what to do, and the files arrive", async () => {
  const folder = join(bed.folder, "holiday");
  await mkdir(folder);
  await writeFile(join(folder, "a.jpg"), "a");
  await writeFile(join(bed.folder, "no-extension"), "file");
  await writeFile(join(bed.folder, "empty"), "");
  const [holiday, ...files] = await drop([
    folder,
    join(bed.folder, "no-extension"),
    join(bed.folder, "empty"),
  ]);
  expect(holiday).toEqual({
    code: "FILE_UNREADABLE",
    message: expect.stringMatching(/holiday is a folder, whose files are to be added one by one/),
  });
  expect(files).toEqual(["dropped/no-extension", "dropped/empty"]);
});

test("a file that was changed since it was picked is refused with the cause and its remedy", async () => {
  const path = join(bed.folder, "draft");
  await writeFile(path, "first");
  await page.setInputFiles("input", path);
  await writeFile(path, "second, and longer");
  const refused = await page.evaluate(() => {
    const [file] = document.querySelector("input")?.files ?? [];
    return uploads
      .add(file as File, { key: "draft" })
      .catch(({ code, message }: { code: string; message: string }) => ({ code, message }));
  });
  expect(refused).toEqual({
    code: "FILE_UNREADABLE",
    message: expect.stringMatching(
      /draft was changed since it was picked.*pick it again.*add less at a time/,
    ),
  });
});

test("more files than one call takes are refused in plain words", async () => {
  const refused = await page.evaluate((count) => {
    const same = { file: new Blob(["x"], { type: "text/plain" }), key: "many" };
    return uploads
      .addAll(Array.from({ length: count }, () => same))
      .catch(({ code, message }: { code: string; message: string }) => ({ code, message }));
  }, MAX_ADDED + 1);
  expect(refused).toEqual({
    code: "OPTION_INVALID",
    message: expect.stringMatching(/files, \d+ at once are allowed: add them in groups/),
  });
});
