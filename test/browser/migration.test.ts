import type { Page } from "playwright";
import { afterEach, expect, test } from "vitest";
import { partsSentTwice } from "../support/sent-once.ts";
import { type BrowserBed, finished, startBrowserBed } from "./browser-bed.ts";

const MIB = 1024 * 1024;

let bed: BrowserBed | undefined;
afterEach(() => bed?.close());

test("what version 1 has left in its database is kept, and its half-sent upload goes on where it was", async () => {
  const started = await startBrowserBed();
  bed = started;
  // A page of the site that neither knows the library nor starts the worker.
  const page = await started.context.newPage();
  await page.goto(`${started.url}sw.js`);
  const { id, sha256 } = await leaveAsVersion1(page, `backhaul:${started.url}`);
  await page.close();

  const later = await started.openPage();
  const listed = await later.evaluate(() =>
    uploads.list().map(({ key, owner, durability, lane }) => ({ key, owner, durability, lane })),
  );
  expect(listed).toMatchObject([
    { key: "half", owner: "", durability: "stored" },
    { key: "done", owner: "", durability: "stored" },
  ]);
  expect(await finished(later, id)).toMatchObject({ key: "half", size: 12 * MIB });
  expect(await started.sha256("half")).toBe(sha256);
  expect(partsSentTwice(started.requests)).toEqual([]);
  await later.evaluate(() => uploads.remove());
  expect(await later.evaluate(() => uploads.list())).toEqual([]);
});

/** Begins an upload at S3, sends the first of its three parts, and writes it all down as version 1 of the library did. */
function leaveAsVersion1(page: Page, databaseName: string): Promise<{ id: string; sha256: string }> {
  return page.evaluate(
    async ([databaseName, MIB]) => {
      const id = crypto.randomUUID();
      const plan = { size: 12 * MIB, partSize: 5 * MIB, partCount: 3 };
      const bytes = new Uint8Array(plan.size);
      for (let at = 0; at < plan.size; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
      const file = new File([bytes], "half", { type: "image/jpeg", lastModified: 1_000 });

      const ask = async (operation: string, body: object) => {
        const init = { method: "POST", headers: { "content-type": "application/json" } };
        return (await fetch(`/uploads/${operation}`, { ...init, body: JSON.stringify(body) })).json();
      };
      const { token } = await ask("begin", {
        ...{ uploadId: id, key: "half", type: file.type, name: file.name, method: "multipart" },
        ...{ size: plan.size, partSize: plan.partSize, checksum: "none", triedForMs: null },
      });
      const { parts } = await ask("sign", { token, parts: [{ partNumber: 1 }] });
      const [{ url, headers }] = parts;
      const answer = await fetch(url, { method: "PUT", headers, body: file.slice(0, plan.partSize) });

      const opening = indexedDB.open(databaseName, 1);
      opening.onupgradeneeded = () => {
        const database = opening.result;
        database.createObjectStore("uploads", { keyPath: "id" }).createIndex("order", "order");
        database.createObjectStore("parts", { keyPath: ["uploadId", "partNumber"] });
        database.createObjectStore("bytes");
      };
      await new Promise((resolve) => {
        opening.onsuccess = resolve;
      });
      const tx = opening.result.transaction(["uploads", "parts", "bytes"], "readwrite");
      const common = {
        ...{ type: file.type, lastModified: file.lastModified, owner: "", laneOption: "auto" },
        ...{
          method: "multipart",
          plan,
          createdAt: 2_000,
          updatedAt: 3_000,
          durability: "stored",
          attempts: 0,
        },
      };
      tx.objectStore("uploads").add({
        ...{ ...common, id, order: 1, key: "half", wantedKey: "half", name: "half" },
        ...{ state: "uploading", remote: { at: "open", token } },
      });
      tx.objectStore("uploads").add({
        ...{ ...common, id: crypto.randomUUID(), order: 2, key: "done", wantedKey: "done", name: "done" },
        ...{
          state: "done",
          object: { key: "done", size: plan.size, etag: "abc-3", location: "http://s3.test/done" },
        },
      });
      const etag = answer.headers.get("etag")?.replaceAll('"', "");
      tx.objectStore("parts").add({ uploadId: id, partNumber: 1, state: "done", etag });
      // Claimed, and never sent.
      tx.objectStore("parts").add({ uploadId: id, partNumber: 2, state: "sending" });
      tx.objectStore("bytes").add(file, id);
      await new Promise((resolve, reject) => {
        tx.oncomplete = resolve;
        tx.onabort = () => reject(tx.error);
      });
      opening.result.close();
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
      return { id, sha256: [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("") };
    },
    [databaseName, MIB] as const,
  );
}
