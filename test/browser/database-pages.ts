import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright";
import { build } from "vite";
import type { UploadDatabase } from "../../sw/database/upload-database.ts";
import { openProfile } from "../support/chromium.ts";

/** The functions that `app/database-suite.ts` gives to these pages. */
declare global {
  function openIdbDatabase(name: string): Promise<UploadDatabase>;
  /** Settles once the first piece of a copy is there. Its result is undefined, or what it was refused with. */
  function beginPut(
    database: UploadDatabase,
    id: string,
    source: Blob,
    signal?: AbortSignal,
  ): Promise<{ readonly result: Promise<unknown> }>;
  /** In hexadecimal. */
  function sha256Of(blob: Blob): Promise<string>;
  /** Runs one test of the conformance suite. */
  function runCase(name: string): Promise<void>;
}

/** Empty pages of one origin that have the upload database, without the rest of the library. */
export interface DatabasePages {
  readonly origin: string;
  /** For files that a test makes. */
  readonly folder: string;
  open(): Promise<Page>;
  close(): Promise<void>;
}

export async function openDatabasePages(): Promise<DatabasePages> {
  const server = createServer((_request, response) =>
    response.setHeader("content-type", "text/html").end("<!doctype html>"),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const folder = await mkdtemp(join(tmpdir(), "backhaul-database-"));
  // On disk: in memory, as in a private window, a "copy" of a file is a mere reference to it.
  const context = await openProfile(join(folder, "profile"));
  const suite = await bundleSuite();
  return {
    origin,
    folder,
    async open() {
      const page = await context.newPage();
      await page.goto(origin);
      await page.addScriptTag({ content: suite });
      return page;
    },
    async close() {
      await context.close();
      server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
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
