import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BrowserContext, Page } from "playwright";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { UploadDatabase } from "../../sw/database/upload-database.ts";
import { uploadDatabaseSuite } from "../conformance/upload-database.ts";
import { openProfile } from "../support/chromium.ts";
import { writeRandomFile } from "../support/random-file.ts";

declare const runCase: (name: string) => Promise<void>;
declare const openIdbDatabase: (name: string) => Promise<UploadDatabase>;

const MIB = 1024 * 1024;

let context: BrowserContext;
let folder: string;
let suite: string;
let page: Page;
let origin: string;
const server = createServer((_request, response) =>
  response.setHeader("content-type", "text/html").end("<!doctype html>"),
);

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  origin = `http://127.0.0.1:${address.port}`;
  folder = await mkdtemp(join(tmpdir(), "backhaul-database-"));
  // On disk: in memory, as in a private window, a "copy" of a file is a mere reference to it.
  context = await openProfile(join(folder, "profile"));
  suite = await bundleSuite();
  page = await openPage();
});

afterAll(async () => {
  await context?.close();
  server.close();
  await rm(folder, { recursive: true, force: true });
});

async function openPage(): Promise<Page> {
  const opened = await context.newPage();
  await opened.goto(origin);
  await opened.addScriptTag({ content: suite });
  return opened;
}

async function bundleSuite(): Promise<string> {
  const entry = fileURLToPath(new URL("app/database-suite.ts", import.meta.url));
  const result = await build({
    configFile: false,
    logLevel: "warn",
    resolve: { conditions: ["backhaul-source", "module", "browser", "production"] },
    build: { write: false, target: "es2022", lib: { entry, formats: ["iife"], name: "suite" } },
  });
  const [output] = Array.isArray(result) ? result : [];
  const [chunk] = output?.output ?? [];
  if (chunk?.type !== "chunk") throw new Error("nothing was built");
  return chunk.code;
}

describe("the database in IndexedDB", () => {
  uploadDatabaseSuite(
    (name) => test(name, () => page.evaluate((wanted) => runCase(wanted), name)),
    () => Promise.reject(new Error("each case runs in the page")),
  );
});

describe("copies of large files in IndexedDB", () => {
  test("a copy that is being made holds up neither small writes nor the deletion of another copy", async () => {
    const path = join(folder, "large");
    const sha256 = await writeRandomFile(path, 64 * MIB);
    const input = await page.evaluateHandle(() => {
      const picker = Object.assign(document.createElement("input"), { type: "file" });
      return document.body.appendChild(picker);
    });
    await input.setInputFiles(path);
    const order = await page.evaluate(async (picker) => {
      const database = await openIdbDatabase("turns");
      await database.putBytes("small", new Blob(["small"]));
      const settled: string[] = [];
      const large = picker.files?.[0] as File;
      const note = (name: string) => () => settled.push(name);
      const putting = database.putBytes("large", large).then(note("large"));
      // Until its first piece is there.
      while (!(await database.bytesIds()).includes("large"));
      const others = [
        database.deleteBytes(["small"]).then(note("deletion")),
        database.putBytes("other", new Blob(["other"])).then(note("other")),
        database.setOwner("ada").then(note("owner")),
      ];
      const isHidden = (await database.bytes("large")) === undefined;
      await Promise.all([putting, ...others]);
      const kept = (await database.bytes("large")) as Blob;
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await kept.arrayBuffer()));
      database.close();
      const sha256 = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
      return { last: settled.at(-1), count: settled.length, isHidden, sha256 };
    }, input);
    expect(order).toEqual({ last: "large", count: 4, isHidden: true, sha256 });
  });

  test("a copy can be called off between its pieces, and leaves nothing of itself", async () => {
    const outcome = await page.evaluate(async () => {
      const database = await openIdbDatabase("called off");
      await database.putBytes("a", new Blob(["before"]));
      const controller = new AbortController();
      const large = new Blob(Array(1_024).fill(new Uint8Array(65_536)));
      const putting = database.putBytes("a", large, controller.signal).catch((error) => error);
      const again = database.putBytes("b", large, controller.signal).catch((error) => error);
      while (!(await database.bytesIds()).includes("b"));
      controller.abort("enough");
      const reasons = [await putting, await again];
      const kept = await ((await database.bytes("a")) as Blob).text();
      const ids = await database.bytesIds();
      database.close();
      return { reasons, kept, ids };
    });
    expect(outcome).toEqual({ reasons: ["enough", "enough"], kept: "before", ids: ["a"] });
  });

  test("a copy whose upload ends meanwhile is given up, and leaves nothing of itself", async () => {
    const outcome = await page.evaluate(async () => {
      const database = await openIdbDatabase("ended");
      const large = new Blob(Array(1_024).fill(new Uint8Array(65_536)));
      const putting = database.putBytes("a", large).catch((error) => error.code);
      while (!(await database.bytesIds()).includes("a"));
      await database.deleteBytes(["a"]);
      const code = await putting;
      const ids = await database.bytesIds();
      database.close();
      return { code, ids };
    });
    expect(outcome).toEqual({ code: "CANCELED", ids: [] });
  });

  test("of two copies for one upload, by two workers, the one begun last is kept, whole", async () => {
    const outcome = await page.evaluate(async () => {
      const [first, second] = [await openIdbDatabase("twice"), await openIdbDatabase("twice")];
      const sizes = [80 * 1024 * 1024, 40 * 1024 * 1024];
      const [ones, twos] = sizes.map((size, index) => {
        return new Blob(Array(size / 65_536).fill(new Uint8Array(65_536).fill(index + 1)));
      }) as [Blob, Blob];
      const putting = first.putBytes("a", ones).catch((error) => error.code);
      while (!(await second.bytesIds()).includes("a"));
      await second.putBytes("a", twos);
      const code = await putting;
      const kept = new Uint8Array(await ((await second.bytes("a")) as Blob).arrayBuffer());
      first.close();
      second.close();
      return { code, size: kept.length, isWhole: kept.every((byte) => byte === 2) };
    });
    expect(outcome).toEqual({ code: "CANCELED", size: 40 * 1024 * 1024, isWhole: true });
  });

  test("a copy that a death has broken off is never read, and the next one takes its place", async () => {
    const dying = await openPage();
    await dying.evaluate(async () => {
      const database = await openIdbDatabase("death");
      void database.putBytes("a", new Blob(Array(4_096).fill(new Uint8Array(65_536))));
      while (!(await database.bytesIds()).includes("a"));
    });
    await dying.close();
    const outcome = await page.evaluate(async () => {
      const database = await openIdbDatabase("death");
      const ids = await database.bytesIds();
      const broken = await database.bytes("a");
      await database.putBytes("a", new Blob(["whole"]));
      const whole = await ((await database.bytes("a")) as Blob).text();
      await database.deleteBytes(["a"]);
      const left = await database.bytesIds();
      database.close();
      return { ids, isBroken: broken === undefined, whole, left };
    });
    expect(outcome).toEqual({ ids: ["a"], isBroken: true, whole: "whole", left: [] });
  });
});

describe("a connection that the browser closes", () => {
  test("tells its listener, and refuses what comes from then on in words of its own", async () => {
    const session = await page.context().newCDPSession(page);
    await page.evaluate(async () => {
      const database = await openIdbDatabase("closed");
      const closed = new Promise<void>((resolve) => database.onClosed(resolve));
      Object.assign(globalThis, { database, untilClosed: closed });
    });
    await session.send("Storage.clearDataForOrigin", { origin, storageTypes: "indexeddb" });
    const codes = await page.evaluate(async () => {
      const { database, closed } = globalThis as unknown as {
        database: UploadDatabase;
        closed: Promise<void>;
      };
      await closed;
      const calls = [database.all(), database.setOwner("eve"), database.putBytes("a", new Blob(["a"]))];
      return Promise.all(calls.map((call) => call.then(() => "done").catch((error) => error.code)));
    });
    expect(codes).toEqual(["DATABASE_CLOSED", "DATABASE_CLOSED", "DATABASE_CLOSED"]);
    await page.evaluate(async () => {
      const database = await openIdbDatabase("closed");
      await database.setOwner("ada");
      database.close();
    });
  });
});
