import { afterAll, beforeAll, describe } from "vitest";
import { browserPlatform } from "../../sw/platform/browser-platform.ts";
import { createS3Storage } from "../../sw/storage/s3-storage.ts";
import { type StorageBed, uploadStorageSuite } from "../conformance/upload-storage.ts";
import { isCephInstalled, startCeph } from "../engines/ceph.ts";
import { CephSessions } from "../engines/ceph-sessions.ts";
import type { S3Engine as Ceph } from "../engines/engine.ts";
import { openBucket, type S3Engine } from "../server/s3-engine.ts";

// A silent gap in CI would be worse than a failure.
const isSkipped = !isCephInstalled() && process.env.CI === undefined;
if (isSkipped)
  console.warn("SKIPPED: Ceph is not installed: the storage with temporary credentials is not tried.");

// Ceph's, since the embedded store knows no sessions.
describe.skipIf(isSkipped)("the storage that asks S3 itself", () => {
  let ceph: Ceph;
  let sessions: CephSessions;
  let engine: S3Engine;
  let bed: StorageBed;

  beforeAll(async () => {
    ceph = await startCeph({ minPartBytes: 1 });
    sessions = new CephSessions(ceph);
    engine = await openBucket(ceph.endpoint, ceph, 1);
    const { endpoint, region } = ceph;
    const credentials = () => sessions.assumeRole();
    const options = { credentials, bucket: engine.bucket, endpoint, region, forcePathStyle: true };
    bed = { engine, storage: createS3Storage(options, browserPlatform) };
  });

  afterAll(async () => {
    sessions?.close();
    await engine?.close();
    await ceph?.stop();
  });

  uploadStorageSuite(() => bed);
});
