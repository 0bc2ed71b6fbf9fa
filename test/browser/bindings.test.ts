import { createHash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type BrowserBed, startBrowserBed } from "./browser-bed.ts";
import { buildApp } from "./build-app.ts";

let bed: BrowserBed;
beforeAll(async () => {
  bed = await startBrowserBed();
});
afterAll(() => bed?.close());

test.each([
  ["react", "react.tsx"],
  ["vue", "vue.ts"],
  ["svelte", "svelte.ts"],
  ["solid", "solid.ts"],
  ["element", "element.ts"],
])(
  "an app with %s uploads a picked file, shows it as done, and still does after a reload",
  async (name, file) => {
    const page = await bed.context.newPage();
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(error.message));
    await page.goto(await buildApp(bed, name, file));
    const buffer = randomBytes(100_000);
    const input = page.locator("input[type=file]");
    await input.setInputFiles({ name: `${name}.bin`, mimeType: "application/octet-stream", buffer });
    const row = page.locator("li[data-state=done]", { hasText: `${name}.bin` });
    await row.waitFor();
    expect(await bed.sha256(`${name}/${name}.bin`)).toBe(createHash("sha256").update(buffer).digest("hex"));
    await page.reload();
    await row.waitFor();
    expect(errors).toEqual([]);
    await page.close();
  },
);

test("React's list and the element name each bar and each button, and a button does what it says", async () => {
  for (const [name, file] of [
    ["react", "react.tsx"],
    ["element", "element.ts"],
  ] as const) {
    const page = await bed.context.newPage();
    await page.goto(await buildApp(bed, name, file));
    const zone = page.getByLabel("Choose files, or drop them here");
    await zone.setInputFiles({ name: `${name}.txt`, mimeType: "text/plain", buffer: Buffer.from(name) });
    await page.getByRole("progressbar", { name: `${name}.txt` }).waitFor();
    const row = page
      .getByRole("list", { name: "Uploads" })
      .getByRole("listitem")
      .filter({ hasText: `${name}.txt` });
    await page.getByRole("button", { name: `Remove: ${name}.txt` }).click();
    await row.waitFor({ state: "detached" });
    await page.close();
  }
});
