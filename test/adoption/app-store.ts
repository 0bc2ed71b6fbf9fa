import { createHash } from "node:crypto";
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutBucketCorsCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { startStore } from "../../demo/store/server.ts";

/** An app's bucket. */
export interface AppBucket {
  /** What the app's server is told about it. */
  readonly environment: Readonly<Record<string, string>>;
  /** Lets pages of the app send to it, as the README says. */
  allowOrigin(origin: string): Promise<void>;
  /** SHA-256 of each object, read back through S3. */
  digests(): Promise<string[]>;
}

/** The embedded store, with a bucket for each app. */
export async function startAppStore(dataDir: string) {
  const credentials = { accessKeyId: "test", secretAccessKey: "test-secret-key" };
  const store = await startStore({ ...credentials, dataDir, port: 0 });
  const s3 = new S3Client({ credentials, endpoint: store.url, region: "us-east-1", forcePathStyle: true });
  return {
    async createBucket(Bucket: string): Promise<AppBucket> {
      await s3.send(new CreateBucketCommand({ Bucket }));
      return {
        environment: {
          S3_ENDPOINT: store.url,
          S3_BUCKET: Bucket,
          AWS_ACCESS_KEY_ID: credentials.accessKeyId,
          AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
          UPLOAD_SECRET: "a secret of the tests, long enough to sign",
        },
        async allowOrigin(origin) {
          const rule = {
            AllowedOrigins: [origin],
            AllowedMethods: ["PUT"],
            AllowedHeaders: ["*"],
            ExposeHeaders: ["ETag"],
          };
          await s3.send(new PutBucketCorsCommand({ Bucket, CORSConfiguration: { CORSRules: [rule] } }));
        },
        async digests() {
          const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket }));
          return Promise.all(
            Contents.map(async ({ Key }) => {
              const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
              const hash = createHash("sha256");
              for await (const chunk of Body as AsyncIterable<Uint8Array>) hash.update(chunk);
              return hash.digest("hex");
            }),
          );
        },
      };
    },
    async close() {
      s3.destroy();
      await store.close();
    },
  };
}
