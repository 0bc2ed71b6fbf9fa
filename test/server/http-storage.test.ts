import { afterAll, beforeAll, describe, vi } from "vitest";
import { httpStorage } from "../../sw/storage/http-storage.ts";
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
    vi.stubGlobal("self", { location: new URL(server.url) });
    bed = { engine, storage: httpStorage({ endpoint: server.url }) };
  });

  afterAll(async () => {
    await server.close();
    await engine.close();
    vi.unstubAllGlobals();
  });

  uploadStorageSuite(() => bed);
});
