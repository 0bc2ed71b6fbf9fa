import { CreateBucketCommand, HeadObjectCommand, S3Client } from "@aws-sdk/client-s3";
import type { Page } from "playwright";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { s3Storage, type TemporaryCredentials } from "../../sw/s3-storage.ts";
import { isCephInstalled, startCeph } from "../engines/ceph.ts";
import { CephSessions } from "../engines/ceph-sessions.ts";
import type { S3Engine } from "../engines/engine.ts";
import {
  addRandomFiles,
  type BrowserBed,
  type BrowserBedOptions,
  finished,
  startBrowserBed,
  workerStopper,
} from "./browser-bed.ts";
import { type CredentialServer, startCredentialServer } from "./credential-server.ts";

const MIB = 1024 * 1024;

/** The requests that the worker makes besides PUTs, as the README lists them. */
const CORS = {
  AllowedMethods: ["GET", "HEAD", "PUT", "POST", "DELETE"],
  ExposeHeaders: ["ETag", "x-amz-meta-backhaul-upload"],
};

let ceph: S3Engine;
let sessions: CephSessions;
let bed: BrowserBed | undefined;
let server: CredentialServer | undefined;

/** A page whose worker has credentials of the server's, and a bucket. */
async function open(
  next: Parameters<typeof startCredentialServer>[0],
  options: BrowserBedOptions = {},
): Promise<{ page: Page; bed: BrowserBed; given: readonly TemporaryCredentials[] }> {
  const { endpoint, region, accessKeyId, secretAccessKey } = ceph;
  const credentials = { accessKeyId, secretAccessKey };
  const target = { endpoint, region, bucket: "uploads", credentials };
  server = await startCredentialServer(next);
  bed = await startBrowserBed({ worker: "s3-sw.ts", s3: target, cors: CORS, ...options });
  const s3 = { region, bucket: target.bucket, endpoint: bed.publicEndpoint, forcePathStyle: true };
  const page = await bed.openPage({ s3, credentials: server.url });
  return { page, bed, given: server.given };
}

const uploadedAtLeast = (page: Page, id: string, bytes: number) =>
  page.waitForFunction(
    ([wanted, least]) => (uploads.get(wanted as string)?.uploadedBytes ?? 0) >= (least as number),
    [id, bytes] as const,
    { polling: 20, timeout: 60_000 },
  );

// A silent gap in CI would be worse than a failure.
const isSkipped = !isCephInstalled() && process.env.CI === undefined;
if (isSkipped) console.warn("SKIPPED: Ceph is not installed: temporary credentials are not tried.");

describe.skipIf(isSkipped)("temporary credentials", () => {
  beforeAll(async () => {
    ceph = await startCeph();
    sessions = new CephSessions(ceph);
  });
  afterAll(async () => {
    sessions?.close();
    await ceph?.stop();
  });
  afterEach(async () => {
    await bed?.close();
    await server?.close();
    bed = undefined;
    server = undefined;
  });

  test("files of all sizes arrive, and none of the secrets is in the browser's databases", async () => {
    const { page, bed, given } = await open(() => sessions.assumeRole(), { linkBytesPerSecond: 16 * MIB });
    const added = await addRandomFiles(page, [
      { key: "empty", size: 0 },
      { key: "Zwei Wörter/+&=", size: 1 },
      { key: "single", size: 3 * MIB },
      { key: "multipart", size: 43 * MIB + 1, partSize: 5 * MIB },
    ]);
    const { id } = added.at(-1) as { id: string };
    await uploadedAtLeast(page, id, 5 * MIB);
    const stored = await allOfIndexedDB(page);
    expect(stored).toContain(id);
    expect(stored).toContain("s3UploadId");
    expect(given.length).toBeGreaterThan(0);
    for (const { accessKeyId, secretAccessKey, sessionToken } of given)
      for (const secret of [accessKeyId, secretAccessKey, sessionToken]) expect(stored).not.toContain(secret);

    for (const { id, key, sha256 } of added) {
      expect(await finished(page, id)).toMatchObject({ key });
      expect(await bed.sha256(key)).toBe(sha256);
    }
    // One answer for all of it.
    expect(given).toHaveLength(1);
  });

  test("a worker that dies knows no credentials, asks again, and goes on where S3 is", async () => {
    const { page, bed, given } = await open(() => sessions.assumeRole(), { linkBytesPerSecond: 16 * MIB });
    const [added] = await addRandomFiles(page, [{ key: "killed", size: 60 * MIB, partSize: 5 * MIB }]);
    const { id, sha256 } = added as { id: string; sha256: string };
    const stopWorker = await workerStopper(page);
    for (const bytes of [10 * MIB, 30 * MIB]) {
      await uploadedAtLeast(page, id, bytes);
      await stopWorker();
    }
    await finished(page, id);
    expect(await bed.sha256("killed")).toBe(sha256);
    expect(given).toHaveLength(3);
  });

  test("credentials that expire during the upload are renewed before they do", async () => {
    const { page, bed, given } = await open(() => sessions.assumeRole(6), { linkBytesPerSecond: 4 * MIB });
    const [added] = await addRandomFiles(page, [{ key: "renewed", size: 60 * MIB, partSize: 5 * MIB }]);
    const { id, sha256 } = added as { id: string; sha256: string };
    await finished(page, id);
    expect(await bed.sha256("renewed")).toBe(sha256);
    expect(given.length).toBeGreaterThanOrEqual(3);
    // S3 agrees that the credentials have expired.
    await expect(headWith(given[0] as TemporaryCredentials, "renewed")).rejects.toThrow();
    await expect(headWith(given.at(-1) as TemporaryCredentials, "renewed")).resolves.toBeDefined();
  });

  test("credentials that S3 refuses before their time are replaced, though the browser may not read the refusal", async () => {
    const { page, bed, given } = await open(
      async (nth) => {
        const session = await sessions.assumeRole(nth === 2 ? 4 : 900);
        const expiration = new Date(Date.now() + 900_000);
        // The first one is of no use at all; the second ends earlier than it says; the others are sound.
        return { ...session, expiration, ...(nth === 1 && { sessionToken: "revoked" }) };
      },
      { linkBytesPerSecond: 6 * MIB },
    );
    const [added] = await addRandomFiles(page, [{ key: "refused", size: 60 * MIB, partSize: 5 * MIB }]);
    const { id, sha256 } = added as { id: string; sha256: string };
    await finished(page, id);
    expect(await bed.sha256("refused")).toBe(sha256);
    expect(given.length).toBeGreaterThanOrEqual(3);
  });

  test("a lost network, between the worker and S3, is waited for", async () => {
    const { page, bed } = await open(() => sessions.assumeRole());
    bed.link.cut();
    // The credentials come by another way, so that it is S3 itself that can't be reached.
    const [added] = await addRandomFiles(page, [{ key: "lost", size: 20 * MIB }]);
    const { id, sha256 } = added as { id: string; sha256: string };
    await page.waitForFunction((wanted) => uploads.get(wanted)?.error?.code === "NETWORK", id);
    bed.link.mend();
    await finished(page, id);
    expect(await bed.sha256("lost")).toBe(sha256);
  });

  test("without a session the upload waits for the user, and goes on with the new headers", async () => {
    const { page, bed, given } = await open(async (_nth, authorization) =>
      authorization === "Bearer me" ? sessions.assumeRole() : 401,
    );
    const [added] = await addRandomFiles(page, [{ key: "waits", size: 20 * MIB }]);
    const { id, sha256 } = added as { id: string; sha256: string };
    await page.waitForFunction((wanted) => uploads.get(wanted)?.reason === "auth", id);
    expect(given).toEqual([]);
    await page.evaluate(() => uploads.setAuth({ authorization: "Bearer me" }));
    await finished(page, id);
    expect(await bed.sha256("waits")).toBe(sha256);
  });

  test("where a refusal can be read, as AWS lets a browser, the same call goes on with new credentials", async () => {
    const { endpoint, region, accessKeyId, secretAccessKey } = ceph;
    const client = new S3Client({
      endpoint,
      region,
      forcePathStyle: true,
      credentials: { accessKeyId, secretAccessKey },
    });
    await client.send(new CreateBucketCommand({ Bucket: "read-refusals" }));
    client.destroy();
    let asked = 0;
    // Node has no CORS: nothing of an answer is hidden from it.
    const storage = s3Storage({
      endpoint,
      region,
      bucket: "read-refusals",
      forcePathStyle: true,
      async credentials() {
        asked += 1;
        return { ...(await sessions.assumeRole()), ...(asked === 1 && { sessionToken: "revoked" }) };
      },
    });
    const intent = {
      uploadId: crypto.randomUUID(),
      key: "a",
      size: 6 * MIB,
      type: "",
      name: "a",
      triedForMs: null,
    };
    const { token } = await storage.begin({
      ...intent,
      method: "multipart",
      partSize: 5 * MIB,
      checksum: "none",
    });
    expect(asked).toBe(2);
    expect(await storage.uploadedParts(token, 0)).toEqual({ parts: [], next: null });
    await storage.abort(token);
    await expect(storage.uploadedParts(token, 0)).rejects.toMatchObject({ kind: "gone" });
    expect(asked).toBe(2);
  });

  test("tokens that are not this bucket's are refused", async () => {
    const storage = s3Storage({
      endpoint: ceph.endpoint,
      region: "us-east-1",
      bucket: "uploads",
      credentials: () => sessions.assumeRole(),
    });
    const claims = {
      bucket: "others",
      key: "a",
      uploadId: "u",
      size: 1,
      checksum: "none",
      owner: null,
      expiresAt: 1,
      method: "single",
      type: "",
    };
    for (const token of ["", "v1.abc.def", "{}", JSON.stringify(claims)])
      await expect(storage.abort(token)).rejects.toMatchObject({ kind: "permanent", code: "TOKEN_INVALID" });
    await expect(storage.abort(JSON.stringify({ ...claims, bucket: "uploads" }))).resolves.toBeUndefined();
  });
});

/** All rows of all databases, but for the bytes of files. */
function allOfIndexedDB(page: Page): Promise<string> {
  return page.evaluate(async () => {
    const settled = <T>(request: IDBRequest<T>) =>
      new Promise<T>((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
    const rows: unknown[] = [];
    for (const { name } of await indexedDB.databases()) {
      const database = await settled(indexedDB.open(name as string));
      for (const store of database.objectStoreNames)
        rows.push(await settled(database.transaction(store).objectStore(store).getAll()));
      database.close();
    }
    // Nothing that is neither text nor a number can hide in it.
    return JSON.stringify(rows, (_key, value) =>
      value instanceof Map || value instanceof Set
        ? [...value]
        : ArrayBuffer.isView(value)
          ? `${value}`
          : value,
    );
  });
}

async function headWith(credentials: TemporaryCredentials, key: string) {
  const { endpoint, region } = ceph;
  const { accessKeyId, secretAccessKey, sessionToken } = credentials;
  const client = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey, sessionToken },
  });
  try {
    return await client.send(new HeadObjectCommand({ Bucket: "uploads", Key: key }));
  } finally {
    client.destroy();
  }
}
