import type { Page } from "playwright";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { partsSentTwice } from "../support/sent-once.ts";
import { type BrowserBed, finished, startBrowserBed } from "./browser-bed.ts";
import { type DatabasePages, openDatabasePages } from "./database-pages.ts";

const MIB = 1024 * 1024;

let bed: BrowserBed | undefined;
afterEach(() => bed?.close());

test("an upload that version 1 has left half sent goes on where it was", async () => {
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

describe("the database", () => {
  let pages: DatabasePages;
  let page: Page;

  beforeAll(async () => {
    pages = await openDatabasePages();
    page = await pages.open();
  });
  afterAll(() => pages?.close());

  test("gets the fields that version 1 lacked, and the names that version 3 uses", async () => {
    const old = row({ state: "queued", remote: { at: "none" } });
    const half = row({ state: "uploading", remote: { at: "open", token: "t" }, checksum: "md5" });
    await plant(page, "version 1", {
      version: 1,
      uploads: [old, half],
      parts: [
        { uploadId: half.id, partNumber: 1, state: "done", etag: "abc" },
        { uploadId: half.id, partNumber: 2, state: "sending" },
      ],
    });
    const { stored, parts } = await read(page, "version 1", half.id);
    const names = { laneOption: "worker", priority: 0, conditions: null };
    expect(stored).toEqual({
      records: [
        { ...without(old, "laneWish"), ...names, checksum: "none" },
        { ...without(half, "laneWish"), ...names, checksum: "md5" },
      ],
      unreadableIds: [],
    });
    expect(parts).toEqual([
      { uploadId: half.id, partNumber: 1, state: "done", etag: "abc", checksum: null },
      { uploadId: half.id, partNumber: 2, state: "sending", checksum: null },
    ]);
  });

  test("gets the names that version 3 uses in place of those of version 2", async () => {
    const hours = { unmetered: false, notBefore: null, hours: { from: 22, to: 6 } };
    const fields = { checksum: "md5", priority: 3, constraints: hours, remote: { at: "none" } };
    const waiting = row({
      ...fields,
      state: "waiting",
      reason: "constraint",
      nextAttemptAt: 9_000,
      error: { code: "CONSTRAINT", detail: "hours" },
    });
    const changed = row({ ...fields, state: "failed", error: { code: "SOURCE_CHANGED", detail: "" } });
    const offline = row({
      ...fields,
      state: "waiting",
      reason: "offline",
      nextAttemptAt: null,
      error: { code: "NETWORK", detail: "no line" },
    });
    const newer = { id: crypto.randomUUID(), state: "teleporting", constraints: { moon: "full" } };
    await plant(page, "version 2", { version: 2, uploads: [waiting, changed, offline, newer], parts: [] });
    const { stored, owner } = await read(page, "version 2");
    const converted = (old: Row) => ({
      ...without(old, "laneWish", "constraints"),
      laneOption: "worker",
      conditions: hours,
    });
    expect(stored).toEqual({
      records: [
        {
          ...converted(waiting),
          reason: "conditions",
          error: { code: "CONDITIONS_UNMET", detail: "hours" },
        },
        { ...converted(changed), error: { code: "FILE_CHANGED", detail: "" } },
        converted(offline),
      ],
      unreadableIds: [newer.id],
    });
    expect(owner).toBe("ada");
  });

  test("still gives files that version 2 has stored whole, and handles, until they are replaced", async () => {
    await plant(page, "files", { version: 2, uploads: [], parts: [] });
    const outcome = await page.evaluate(async () => {
      const whole = new File([crypto.getRandomValues(new Uint8Array(65_536)), new Uint8Array(2 ** 24)], "f");
      const root = await navigator.storage.getDirectory();
      const handle = await root.getFileHandle("on-disk", { create: true });
      const opening = indexedDB.open("files");
      await new Promise((resolve) => {
        opening.onsuccess = resolve;
      });
      const tx = opening.result.transaction("bytes", "readwrite");
      tx.objectStore("bytes").put(whole, "whole");
      tx.objectStore("bytes").put(handle, "handle");
      await new Promise((resolve) => {
        tx.oncomplete = resolve;
      });
      opening.result.close();

      const database = await openIdbDatabase("files");
      const ids = await database.bytesIds();
      const kept = (await database.bytes("whole")) as Blob;
      const isSame = (await sha256Of(kept)) === (await sha256Of(whole));
      const keptHandle = (await database.bytes("handle")) as FileSystemFileHandle;
      const isSameHandle = await keptHandle.isSameEntry(handle);
      await database.putBytes("handle", whole);
      await database.putBytes("whole", handle);
      const swapped = [await database.bytes("handle"), await database.bytes("whole")];
      await database.deleteBytes(ids);
      const left = await database.bytesIds();
      database.close();
      const kinds = swapped.map((each) => each?.constructor.name);
      return { ids, isSame, isSameHandle, kinds, left };
    });
    expect(outcome).toEqual({
      ids: ["handle", "whole"],
      isSame: true,
      isSameHandle: true,
      kinds: ["Blob", "FileSystemFileHandle"],
      left: [],
    });
  });
});

type Row = Readonly<Record<string, unknown>> & { readonly id: string };

let rows = 0;

/** The fields that versions 1 and 2 wrote alike. */
function row(fields: Readonly<Record<string, unknown>>): Row {
  rows += 1;
  return {
    id: crypto.randomUUID(),
    order: rows,
    wantedKey: "a.jpg",
    key: "a.jpg",
    name: "a.jpg",
    type: "",
    lastModified: null,
    owner: "",
    laneWish: "worker",
    method: "multipart",
    durability: "stored",
    plan: { size: 12 * MIB, partSize: 5 * MIB, partCount: 3 },
    attempts: 0,
    createdAt: 1_000,
    updatedAt: 1_000,
    ...fields,
  };
}

function without(row: Row, ...fields: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(row).filter(([field]) => !fields.includes(field)));
}

interface OldDatabase {
  readonly version: 1 | 2;
  readonly uploads: readonly Row[];
  readonly parts: readonly object[];
}

/** Makes a database as an old version of the library did. */
function plant(page: Page, name: string, old: OldDatabase): Promise<void> {
  return page.evaluate(
    async ([name, { version, uploads, parts }]) => {
      const opening = indexedDB.open(name, version);
      opening.onupgradeneeded = () => {
        const database = opening.result;
        database.createObjectStore("uploads", { keyPath: "id" }).createIndex("order", "order");
        database.createObjectStore("parts", { keyPath: ["uploadId", "partNumber"] });
        database.createObjectStore("bytes");
        if (version === 2) database.createObjectStore("settings").put("ada", "owner");
      };
      await new Promise((resolve) => {
        opening.onsuccess = resolve;
      });
      const tx = opening.result.transaction(["uploads", "parts"], "readwrite");
      for (const row of uploads) tx.objectStore("uploads").add(row);
      for (const row of parts) tx.objectStore("parts").add(row);
      await new Promise((resolve, reject) => {
        tx.oncomplete = resolve;
        tx.onabort = () => reject(tx.error);
      });
      opening.result.close();
    },
    [name, old] as const,
  );
}

/** The rows that this version finds in a database. */
function read(page: Page, name: string, id = "") {
  return page.evaluate(
    async ([name, id]) => {
      const database = await openIdbDatabase(name);
      const [stored, parts, owner] = [await database.all(), await database.parts(id), await database.owner()];
      database.close();
      return { stored, parts, owner };
    },
    [name, id] as const,
  );
}

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
        uploadId: id,
        key: "half",
        type: file.type,
        name: file.name,
        method: "multipart",
        size: plan.size,
        partSize: plan.partSize,
        checksum: "none",
        triedForMs: null,
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
        type: file.type,
        lastModified: file.lastModified,
        owner: "",
        laneWish: "auto",
        method: "multipart",
        plan,
        createdAt: 2_000,
        updatedAt: 3_000,
        durability: "stored",
        attempts: 0,
      };
      tx.objectStore("uploads").add({
        ...common,
        id,
        order: 1,
        key: "half",
        wantedKey: "half",
        name: "half",
        state: "uploading",
        remote: { at: "open", token },
      });
      tx.objectStore("uploads").add({
        ...common,
        id: crypto.randomUUID(),
        order: 2,
        key: "done",
        wantedKey: "done",
        name: "done",
        state: "done",
        object: { key: "done", size: plan.size, etag: "abc-3", location: "http://s3.test/done" },
        // An upload that has ended long ago would leave the list.
        updatedAt: Date.now(),
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
