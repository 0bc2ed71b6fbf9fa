import { afterEach, expect, test } from "vitest";
import { type S3Engine, startS3 } from "./s3-engine.ts";
import { cut, someBytes, startUploadServer, toSign, type UploadServer } from "./upload-server.ts";

const MINUTE = 60_000;

let engine: S3Engine;
let server: UploadServer;
afterEach(async () => {
  await server.close();
  await engine.close();
});

test.each([-20, 20])(
  "with a clock %d minutes off, a signature is right once S3 has been asked",
  async (minutes) => {
    engine = await startS3(undefined, { now: () => Date.now() + minutes * MINUTE });
    // A client that has not heard from S3 yet.
    const client = engine.clientAt(engine.endpoint);
    // A URL that is good for an hour would still be good for 40 minutes.
    server = await startUploadServer(engine, { client, signedUrlSeconds: 600 });
    const bytes = someBytes(20);

    // Nothing is asked of S3 to begin a single PUT, so the server can't know yet.
    const single = await server.begin({ key: "single", method: "single", size: 20, partSize: 20 });
    await expect(server.put(single, [[1, bytes]])).rejects.toThrow(/403/);
    // As the worker does after a refusal.
    expect((await server.parts(single)).parts).toEqual([]);
    const receipts = await server.put(single, [[1, bytes]]);
    expect(await server.complete(single, receipts)).toMatchObject({ size: 20 });

    const multi = await server.begin({ key: "multi", size: 20, partSize: 10 });
    const [signed] = await server.sign(multi, toSign([1]));
    expect(signed?.expiresInMs).toBeGreaterThan(0);
    expect(await server.complete(multi, await server.put(multi, cut(bytes, 10)))).toMatchObject({ size: 20 });
  },
);
