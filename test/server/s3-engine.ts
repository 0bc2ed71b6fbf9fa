import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateBucketCommand, ListMultipartUploadsCommand, S3Client } from "@aws-sdk/client-s3";
import { type RequestEntry, type StoreOptions, startStore } from "../../demo/store/server.ts";

const MIB = 1024 * 1024;

/** A real S3: the embedded store, or the engine that `S3_ENDPOINT`, `S3_ACCESS_KEY_ID` and `S3_SECRET_ACCESS_KEY` name. */
export interface S3Engine {
  readonly endpoint: string;
  /** A bucket of the test's own. */
  readonly bucket: string;
  readonly client: S3Client;
  /** The smallest part that it accepts in an object. */
  readonly minPartBytes: number;
  /** A client that reaches it by another URL, such as a proxy's. */
  clientAt(endpoint: string, maxAttempts?: number): S3Client;
  /** S3's ids of the uploads that are open for exactly this key. */
  openUploads(key: string): Promise<readonly string[]>;
  close(): Promise<void>;
}

/**
 * @param onRequest is told of each request that has ended, if it is the embedded store
 * @param special makes it the embedded store, whatever engine is named
 */
export async function startS3(
  onRequest?: (entry: RequestEntry) => void,
  special?: Pick<StoreOptions, "sse" | "now">,
): Promise<S3Engine> {
  const { S3_ENDPOINT, S3_ACCESS_KEY_ID = "", S3_SECRET_ACCESS_KEY = "" } = process.env;
  if (S3_ENDPOINT && special === undefined)
    return openBucket(
      S3_ENDPOINT,
      { accessKeyId: S3_ACCESS_KEY_ID, secretAccessKey: S3_SECRET_ACCESS_KEY },
      5 * MIB,
    );

  const dataDir = mkdtempSync(join(tmpdir(), "backhaul-store-"));
  const credentials = { accessKeyId: "test", secretAccessKey: "test-secret-access-key" };
  const store = await startStore({
    dataDir,
    port: 0,
    minPartBytes: 1,
    ...(onRequest && { onRequest }),
    ...special,
    ...credentials,
  });
  return openBucket(store.url, credentials, 1, async () => {
    await store.close();
    rmSync(dataDir, { recursive: true });
  });
}

/** A bucket of the test's own in an S3 that is there already. */
export async function openBucket(
  endpoint: string,
  credentials: { accessKeyId: string; secretAccessKey: string },
  minPartBytes: number,
  stop: () => Promise<void> = async () => {},
): Promise<S3Engine> {
  const clients: S3Client[] = [];
  const clientAt = (url: string, maxAttempts = 3) => {
    const client = new S3Client({
      region: "us-east-1",
      endpoint: url,
      forcePathStyle: true,
      credentials,
      maxAttempts,
    });
    clients.push(client);
    return client;
  };
  const client = clientAt(endpoint);
  const bucket = `test-${randomUUID()}`;
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  return {
    endpoint,
    bucket,
    client,
    minPartBytes,
    clientAt,
    async openUploads(key) {
      const { Uploads = [] } = await client.send(
        new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: key }),
      );
      return Uploads.filter((upload) => upload.Key === key).map(({ UploadId = "" }) => UploadId);
    },
    async close() {
      for (const one of clients) one.destroy();
      await stop();
    },
  };
}
