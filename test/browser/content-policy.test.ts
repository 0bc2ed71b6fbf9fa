import { afterEach, expect, test } from "vitest";
import { type BrowserBed, startBrowserBed } from "./browser-bed.ts";

let bed: BrowserBed | undefined;
afterEach(() => bed?.close());

test("a worker whose Content Security Policy lacks the bucket says where to look", async () => {
  bed = await startBrowserBed();
  await bed.context.route("**/sw.js*", async (route) => {
    const response = await route.fetch();
    const policy = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'";
    await route.fulfill({ response, headers: { ...response.headers(), "content-security-policy": policy } });
  });
  const page = await bed.openPage({ retry: { baseMs: 1, maxMs: 50 } });
  const message = await page.evaluate(async () => {
    await uploads.add(new File(["x"], "x"), { key: "blocked" });
    return new Promise<string>((resolve) => {
      uploads.subscribe(([upload]) => {
        const trouble = upload?.error?.code === "STORAGE_UNREACHABLE" ? upload.error.message : undefined;
        if (trouble) resolve(trouble);
      });
    });
  });
  expect(message).toMatch(
    /Content Security Policy sent with the worker's script allows the bucket's origin in connect-src/,
  );
});
