import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { BrowserContext, Page } from "playwright";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { PROTOCOL_VERSION } from "../../src/protocol/protocol.ts";
import { type BrowserBed, startBrowserBed } from "./browser-bed.ts";

let bed: BrowserBed;
let context: BrowserContext;
beforeAll(async () => {
  bed = await startBrowserBed();
});
afterAll(() => bed?.close());
beforeEach(async () => {
  context = await (bed.context.browser() as NonNullable<ReturnType<typeof bed.context.browser>>).newContext();
});
afterEach(() => context.close());

const at = (path: string) => join(bed.folder, "app", path);
/** The app's worker, as built. */
const worker = () => readFile(at("sw.js"), "utf8");

/** Opens a page that is not connected, with this policy in its head. */
async function openBare(policy = "", folder = ""): Promise<Page> {
  const html = await readFile(at("bare.html"), "utf8");
  const meta = `<meta http-equiv="Content-Security-Policy" content="${policy}" />`;
  const name = `bare-${crypto.randomUUID()}.html`;
  await writeFile(at(name), policy ? html.replace("<meta", `${meta}<meta`) : html);
  const page = await context.newPage();
  // The page can be had in any folder, for scopes.
  if (folder)
    await page.route(`**/${folder}/${name}`, async (route) =>
      route.fulfill({ contentType: "text/html", body: await readFile(at(name), "utf8") }),
    );
  await page.goto(new URL(folder ? `${folder}/${name}` : name, bed.url).href);
  await page.waitForFunction(() => "connectUploads" in globalThis);
  return page;
}

type Outcome = "connected" | { readonly code: string; readonly message: string };

function connect(page: Page, options: { worker: string; scope?: string }): Promise<Outcome> {
  return page.evaluate(
    (wanted) =>
      connectUploads(wanted).then(
        (connected) => {
          Object.assign(globalThis, { uploads: connected });
          return "connected" as const;
        },
        ({ code, message }: { code: string; message: string }) => ({ code, message }),
      ),
    options,
  );
}

/** An active worker that has nothing to do with uploads, or whatever script stands there, with the page in its hands. */
async function openWithWorker(script: string): Promise<Page> {
  await writeFile(at("own.js"), script);
  const page = await openBare();
  await page.evaluate(async () => {
    await navigator.serviceWorker.register("/own.js");
    await navigator.serviceWorker.ready;
  });
  await page.reload();
  await page.waitForFunction(() => navigator.serviceWorker.controller && "connectUploads" in globalThis);
  return page;
}

const PLAIN = "self.addEventListener('fetch', () => {});";
const OLDER = `${PLAIN} self.addEventListener("message", ({ data, source }) => {
  if (data?.backhaul !== ${PROTOCOL_VERSION - 1}) source.postMessage({ backhaul: ${PROTOCOL_VERSION - 1}, type: "mismatch" });
});`;
const NEWER = OLDER.replaceAll(String(PROTOCOL_VERSION - 1), String(PROTOCOL_VERSION + 1));
const WITHOUT_SKIP_WAITING = "self.skipWaiting = async () => {};\n";

describe("a first deployment, where another worker is active", () => {
  test("that does not call serveUploads says so", async () => {
    const page = await openWithWorker(PLAIN);
    expect(await connect(page, { worker: "/own.js" })).toEqual({
      code: "WORKER_NOT_SERVING",
      message: expect.stringMatching(/Call serveUploads at the top level/),
    });
  });

  test("and the new one waits says so, and connects once all tabs were closed", async () => {
    const page = await openWithWorker(PLAIN);
    await writeFile(at("own.js"), WITHOUT_SKIP_WAITING + (await worker()));
    expect(await connect(page, { worker: "/own.js" })).toEqual({
      code: "WORKER_WAITING",
      message: expect.stringMatching(/Close all tabs of this app and open it again; self.skipWaiting\(\)/),
    });
    await page.close();
    const reopened = await openBare();
    expect(await connect(reopened, { worker: "/own.js" })).toBe("connected");
  });

  test("and the new one skips waiting connects at once", async () => {
    const page = await openWithWorker(PLAIN);
    await writeFile(at("own.js"), await worker());
    expect(await connect(page, { worker: "/own.js" })).toBe("connected");
  });

  test("and the new one can't be loaded says so", async () => {
    const page = await openWithWorker(PLAIN);
    await writeFile(at("own.js"), "this is no script");
    expect(await connect(page, { worker: "/own.js" })).toMatchObject({ code: "WORKER_SCRIPT_INVALID" });
  });
});

describe("a worker of another version", () => {
  test("that is older, with no other to come, says that it is to be deployed", async () => {
    const page = await openWithWorker(OLDER);
    expect(await connect(page, { worker: "/own.js" })).toEqual({
      code: "PROTOCOL_MISMATCH",
      message: expect.stringMatching(/the worker is the older one: deploy/),
    });
  });

  test("that is older gives way to the new one", async () => {
    const page = await openWithWorker(OLDER);
    await writeFile(at("own.js"), await worker());
    expect(await connect(page, { worker: "/own.js" })).toBe("connected");
  });

  test("that is older and keeps the new one waiting says so", async () => {
    const page = await openWithWorker(OLDER);
    await writeFile(at("own.js"), WITHOUT_SKIP_WAITING + (await worker()));
    expect(await connect(page, { worker: "/own.js" })).toMatchObject({ code: "WORKER_WAITING" });
  });

  test("that is newer says that the page is to be reloaded", async () => {
    const page = await openWithWorker(NEWER);
    expect(await connect(page, { worker: "/own.js" })).toEqual({
      code: "PROTOCOL_MISMATCH",
      message: expect.stringMatching(/the page is the older one: reload it/),
    });
  });
});

describe("a script", () => {
  test.each([
    [
      "is not there",
      "/missing.js",
      undefined,
      "WORKER_SCRIPT_INVALID",
      /answered with 404: deploy the script there/,
    ],
    [
      "is a page",
      "/bare.html",
      undefined,
      "WORKER_SCRIPT_INVALID",
      /served as "text\/html.*serve it as text\/javascript/,
    ],
    [
      "has an error in it",
      "/broken.js",
      undefined,
      "WORKER_SCRIPT_INVALID",
      /fails as it runs for the first time: see the console/,
    ],
    [
      "does not install",
      "/uninstallable.js",
      undefined,
      "WORKER_SCRIPT_INVALID",
      /its installation failed: see the console/,
    ],
    [
      "is another origin's",
      "https://elsewhere.test/sw.js",
      undefined,
      "WORKER_REFUSED",
      /another origin than the page: serve/,
    ],
    [
      "may not have this scope",
      "/assets/sw.js",
      "/",
      "WORKER_REFUSED",
      /not below \/assets\/: move the script up, or send it with.*Service-Worker-Allowed: \//,
    ],
  ])("that %s is refused with the cause and its remedy", async (_what, script, scope, code, message) => {
    await writeFile(at("broken.js"), "throw new Error('broken');");
    await writeFile(
      at("uninstallable.js"),
      "addEventListener('install', (e) => e.waitUntil(Promise.reject(new Error('no'))));",
    );
    await writeFile(at("assets/sw.js"), PLAIN);
    const page = await openBare();
    const outcome = await connect(page, { worker: script, ...(scope && { scope }) });
    expect(outcome).toEqual({ code, message: expect.stringMatching(message) });
  });

  test("that is behind a redirect is refused with the cause and its remedy", async () => {
    const page = await openBare();
    await context.route("**/moved.js", (route) =>
      route.fulfill({ status: 302, headers: { location: "/sw.js" } }),
    );
    expect(await connect(page, { worker: "/moved.js" })).toEqual({
      code: "WORKER_SCRIPT_INVALID",
      message: expect.stringMatching(/redirect.*serve the script at its own URL/),
    });
  });

  test("that the page's policy blocks is refused with the directive to change", async () => {
    const page = await openBare("worker-src 'none'");
    expect(await connect(page, { worker: "/sw.js" })).toEqual({
      code: "WORKER_REFUSED",
      message: expect.stringMatching(/Content Security Policy.*allow 'self' in worker-src/),
    });
  });
});

describe("a page that requires Trusted Types", () => {
  const POLICY = "require-trusted-types-for 'script'; trusted-types app";

  test("is told to pass its worker's URL as one", async () => {
    const page = await openBare(POLICY);
    expect(await connect(page, { worker: "/sw.js" })).toEqual({
      code: "WORKER_REFUSED",
      message: expect.stringMatching(
        /requires Trusted Types: pass `worker` as what your policy's createScriptURL returns/,
      ),
    });
  });

  test("connects with a URL of its own policy's", async () => {
    const page = await openBare(POLICY);
    const connected = await page.evaluate(async () => {
      interface Policies {
        createPolicy(
          name: string,
          rules: { createScriptURL(url: string): string },
        ): { createScriptURL(url: string): { toString(): string; toJSON(): string } };
      }
      const { trustedTypes } = globalThis as unknown as { trustedTypes: Policies };
      const policy = trustedTypes.createPolicy("app", { createScriptURL: (url) => url });
      const uploads = await connectUploads({ worker: policy.createScriptURL("/sw.js") });
      const id = await uploads.add(new File(["x"], "x"), { key: "trusted" });
      return (await uploads.finished(id)).key;
    });
    expect(connected).toBe("trusted");
  });
});

describe("two apps at one origin", () => {
  test("another version's worker that writes to all pages fails none of this app's calls", async () => {
    // As in versions that told every window of the origin.
    await writeFile(
      at("loud.js"),
      `self.addEventListener("message", async () => {
        for (const page of await self.clients.matchAll({ includeUncontrolled: true }))
          for (const type of ["mismatch", "stay", "welcome"]) page.postMessage({ backhaul: 3, type });
      });`,
    );
    const page = await openBare("", "a");
    expect(await connect(page, { worker: "/sw.js", scope: "/a/" })).toBe("connected");
    const { heard, added } = await page.evaluate(async () => {
      const { installing } = await navigator.serviceWorker.register("/loud.js", { scope: "/b/" });
      let isAdded = false;
      const heard = new Promise<boolean>((resolve) => {
        navigator.serviceWorker.addEventListener("message", ({ data }) => {
          if (data?.backhaul === 3) resolve(!isAdded);
        });
      });
      const file = new File([new Uint8Array(96 * 1024 * 1024)], "large");
      const added = uploads.add(file, { key: "large", requireDurable: true }).then(
        () => "added",
        ({ code }: { code: string }) => code,
      );
      installing?.postMessage("speak");
      void added.then(() => {
        isAdded = true;
      });
      return { heard: await heard, added: await added };
    });
    expect([heard, added]).toEqual([true, "added"]);
  });
});
