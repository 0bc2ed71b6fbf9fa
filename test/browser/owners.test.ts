import type { Page } from "playwright";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Death, partsSentTwice } from "../support/sent-once.ts";
import { addRandomFiles, type BrowserBed, finished, startBrowserBed, workerStopper } from "./browser-bed.ts";

const MIB = 1024 * 1024;
const FAST = 100 * MIB;

let bed: BrowserBed;
beforeEach(async () => {
  bed = await startBrowserBed({ linkBytesPerSecond: 6 * MIB });
});
afterEach(() => bed?.close());

async function add(page: Page, key: string, size: number) {
  const [added] = await addRandomFiles(page, [{ key, size }]);
  return added as { id: string; sha256: string };
}
const untilSomeParts = (page: Page, id: string) =>
  page.waitForFunction((wanted) => (uploads.get(wanted)?.partsDone ?? 0) > 0, id);
const setOwner = (page: Page, owner: string) => page.evaluate((name) => uploads.setOwner(name), owner);
const keysSeen = (page: Page) => page.evaluate(() => uploads.list().map(({ key }) => key));
/** Requests of S3 that were answered well. */
const startedFor = (key: string, since: number) =>
  bed.requests.filter((request) => request.key === key && request.startedAt > since);

/** Adds a file and sees it to its end. Whatever else was to be driven has been driven meanwhile. */
async function uploadAnother(page: Page, key: string) {
  const { id, sha256 } = await add(page, key, 20 * MIB);
  await finished(page, id);
  expect(await bed.sha256(key)).toBe(sha256);
}

test("a user who signs out leaves no upload that is seen, reached or sent, and their uploads go on once they are back", async () => {
  const page = await bed.openPage({}, { owner: "ann" });
  const other = await bed.openPage();
  const { id, sha256 } = await add(page, "ann's", 60 * MIB);
  await untilSomeParts(other, id);

  await setOwner(page, "ben");
  const signedOutAt = Date.now();
  expect(await keysSeen(page)).toEqual([]);
  await other.waitForFunction(() => uploads.list().length === 0);
  for (const command of ["pause", "resume", "retry", "cancel"] as const) {
    const code = await other.evaluate(
      ([command, id]) => uploads[command](id).catch((error: { code: string }) => error.code),
      [command, id] as const,
    );
    expect(code, command).toBe("UPLOAD_NOT_FOUND");
  }
  // All, but not those of others.
  await other.evaluate(() => Promise.all([uploads.pause(), uploads.remove()]));
  bed.link.setSpeed(FAST);
  await uploadAnother(page, "ben's");
  expect(await keysSeen(other)).toEqual(["ben's"]);

  // Nor does a worker that starts anew, nor a page that does not say who is there.
  const stopWorker = await workerStopper(other);
  const deaths: Death[] = [await stopWorker()];
  await other.reload();
  await other.waitForFunction(() => "uploads" in globalThis);
  await uploadAnother(other, "ben's second");
  expect(await keysSeen(other)).toEqual(["ben's", "ben's second"]);
  expect(startedFor("ann's", signedOutAt)).toEqual([]);

  await setOwner(other, "ann");
  expect(await keysSeen(other)).toEqual(["ann's"]);
  await finished(other, id);
  expect(await bed.sha256("ann's")).toBe(sha256);
  expect(partsSentTwice(bed.requests, deaths)).toEqual([]);
});

test("a worker that dies over the change of users is on the new one's side when it is back", async () => {
  const page = await bed.openPage({}, { owner: "ann" });
  const { id, sha256 } = await add(page, "ann's", 40 * MIB);
  const stopWorker = await workerStopper(page);
  const deaths: Death[] = [];
  for (const owner of ["ben", "", "ben", "ann"]) {
    const changed = setOwner(page, owner);
    deaths.push(await stopWorker());
    await changed;
    expect(await keysSeen(page)).toEqual(owner === "ann" ? ["ann's"] : []);
  }
  bed.link.setSpeed(FAST);
  await finished(page, id);
  expect(await bed.sha256("ann's")).toBe(sha256);
  expect(partsSentTwice(bed.requests, deaths)).toEqual([]);
});

test("a tab that believes another user to be signed in can neither add files nor give headers", async () => {
  const page = await bed.openPage({}, { owner: "ann" });
  const other = await bed.openPage({}, { owner: "ben" });
  const codes = await page.evaluate(async () => {
    const codeOf = (error: { code: string }) => error.code;
    return [
      await uploads.add(new File(["x"], "x"), { key: "x" }).catch(codeOf),
      await uploads.setAuth({ authorization: "ann" }).catch(codeOf),
    ];
  });
  expect(codes).toEqual(["OWNER_CHANGED", "OWNER_CHANGED"]);
  expect(await keysSeen(other)).toEqual([]);
});

test("the headers of one user go along with none of the next user's requests", async () => {
  const users: (string | undefined)[] = [];
  await bed.context.route("**/uploads/begin", async (route) => {
    users.push(route.request().headers()["x-user"]);
    await route.continue();
  });
  const page = await bed.openPage({}, { owner: "ann" });
  await page.evaluate(() => uploads.setAuth({ "x-user": "ann" }));
  await uploadAnother(page, "ann's");
  await setOwner(page, "ben");
  // An app that gives headers gives them to each user: until they are there, nothing is sent without.
  const [added] = await addRandomFiles(page, [{ key: "ben's", size: 1_000 }]);
  const { id } = added as { id: string };
  await page.waitForFunction((wanted) => uploads.get(wanted)?.reason === "auth", id);
  expect(users).toEqual(["ann"]);
  await page.evaluate(() => uploads.setAuth({ "x-user": "ben" }));
  await finished(page, id);
  expect(users).toEqual(["ann", "ben"]);
});
