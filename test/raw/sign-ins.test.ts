import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "vitest";
import { buildTestApp } from "../browser/app/build.ts";
import { startTestBed } from "../support/test-bed.ts";
import { type ExpressApp, type SignIn, startExpressApp } from "./express-app.ts";
import { addFile, sentAgainAfter, untilShare } from "./raw-bed.ts";
import { RawChromium } from "./raw-chromium.ts";

const MIB = 1024 * 1024;
const SIZE = 200 * MIB;
const SECONDS = 60;

describe("200 MiB over a minute to an Express app, with the browser killed half-way, arrive", () => {
  // Side by side: they wait for their links nearly all of the time.
  test.concurrent("with a session by cookie, of which the server has lost all meanwhile", async ({
    expect,
  }) => {
    const { app, sentAgain, arrived, picked } = await upload("cookie session", {
      whileDead: (app) => app.forgetSessions(),
    });
    expect(arrived).toBe(picked);
    expect(sentAgain).toEqual([]);
    expect([...app.statuses.keys()].filter((status) => status !== 200 && status !== 401)).toEqual([]);
  });

  test.concurrent("with bearer tokens that last for 5 s", async ({ expect }) => {
    const { app, sentAgain, arrived, picked } = await upload("bearer token");
    expect(arrived).toBe(picked);
    expect(sentAgain).toEqual([]);
    expect(app.statuses.get(401)).toBeGreaterThan(0);
    expect(app.tokensUsed.size).toBeGreaterThan(3);
  });

  test.concurrent("with a header against cross-site requests, without which the app answers 403", async ({
    expect,
  }) => {
    const { app, sentAgain, arrived, picked } = await upload("CSRF header");
    expect(arrived).toBe(picked);
    expect(sentAgain).toEqual([]);
    // The worker knows that it needs the header, and asks nothing without it.
    expect([...app.statuses.keys()]).toEqual([200]);
  });
});

interface Course {
  readonly whileDead?: (app: ExpressApp) => void;
}

async function upload(signIn: SignIn, { whileDead }: Course = {}) {
  const folder = await mkdtemp(join(tmpdir(), "backhaul-app-"));
  const root = join(folder, "app");
  await buildTestApp(root);
  const bed = await startTestBed({ root, linkBytesPerSecond: SIZE / SECONDS });
  const app = await startExpressApp(bed, root, signIn);
  const browser = await RawChromium.start();
  try {
    const options = signIn === "cookie session" ? {} : { authFrom: "/auth" };
    const openPage = async () => {
      // The link is for the bytes of the file, not for those of the page.
      const tab = await browser.open(`${app.url}#${encodeURIComponent(JSON.stringify(options))}`);
      await tab.until("'uploads' in globalThis");
      return tab;
    };
    const before = await openPage();
    const file = await addFile({ ...bed, folder }, before, "large", SIZE, { partSize: 5 * MIB });
    await untilShare(before, file, 0.5);
    const killedAt = Date.now();
    await browser.kill();
    whileDead?.(app);
    await browser.restart();
    const after = await openPage();
    await after.until((id: string) => uploads.get(id)?.state === "done", [file.id], 180_000);
    return {
      app,
      picked: file.sha256,
      arrived: await bed.sha256(file.key),
      sentAgain: sentAgainAfter(bed, killedAt),
    };
  } finally {
    await browser.dispose();
    await app.close();
    await bed.close();
    await rm(folder, { recursive: true, force: true });
  }
}
