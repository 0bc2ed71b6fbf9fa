import { afterAll, beforeAll, describe } from "vitest";
import { browserPlatform } from "../../sw/platform/browser-platform.ts";
import { createHttpStorage } from "../../sw/storage/http-storage.ts";
import { type StorageBed, uploadStorageSuite } from "../conformance/upload-storage.ts";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { startUploadServer, type UploadServer } from "./upload-server.ts";

describe("the storage behind an app's server", () => {
  let bed: StorageBed;
  let engine: S3Engine;
  let server: UploadServer;

  beforeAll(async () => {
    engine = await startS3();
    server = await startUploadServer(engine);
    const { clock } = browserPlatform;
    const worker = { url: server.url, scope: server.url, hasWaitingVersion: false, onNewVersion: () => {} };
    const platform = { clock, fetch, worker, sha256: browserPlatform.sha256 };
    bed = { engine, storage: createHttpStorage({ endpoint: server.url }, platform) };
  });

  afterAll(async () => {
    await server.close();
    await engine.close();
  });

  uploadStorageSuite(() => bed);
});
