import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { type CORSRule, GetObjectCommand, PutBucketCorsCommand, S3Client } from "@aws-sdk/client-s3";
import { type AppServerOptions, type S3Target, startAppServer } from "../../demo/app-server.ts";
import { type RequestEntry, type StoreOptions, startStore } from "../../demo/store/server.ts";
import { Link, type LinkOptions } from "./link.ts";

export interface TestBedOptions {
  /** Folder with the built page and worker. */
  readonly root: string;
  readonly minPartBytes?: number;
  /** Bodies that the embedded store takes in at once. */
  readonly mostPuts?: number;
  /** The encryption that the embedded store claims, with ETags that are not MD5s. */
  readonly sse?: StoreOptions["sse"];
  /** Speed of the link between the browser and both servers. @default unlimited */
  readonly linkBytesPerSecond?: number;
  /** More of what the link is like. */
  readonly linkOptions?: LinkOptions;
  readonly handler?: AppServerOptions["handler"];
  /** Another S3 than the embedded store. */
  readonly s3?: S3Target;
  /** The methods and headers that the bucket's CORS rule allows besides the PUTs that every app needs. */
  readonly cors?: Partial<CORSRule>;
  /** How the app's server speaks to S3. */
  readonly client?: Pick<S3Target, "maxAttempts" | "requestHandler">;
  /** The embedded store's clock. */
  readonly now?: () => number;
  /**
   * Puts something on a line: from the browser to the app ("control"), from there to S3 ("data"), from the app to S3
   * ("behind"). Gets the URL that the line leads to, and gives the one to use instead.
   */
  readonly through?: (line: "control" | "data" | "behind", url: string) => Promise<string>;
}

/** An app and its S3, up and running, with what a test wants to know of them. */
export interface TestBed {
  /** URL of the app, over the link. */
  readonly url: string;
  /** Every request that the embedded store has ended, in that order. */
  readonly requests: readonly RequestEntry[];
  /** SHA-256 of an object, read back through S3. */
  sha256(key: string): Promise<string>;
  readonly s3: S3Client;
  readonly bucket: string;
  /** URL by which the browser reaches S3, over the link. */
  readonly publicEndpoint: string;
  readonly link: Link;
  /** Lets pages of another origin send to the bucket, in place of the app's own. */
  allowOrigin(origin: string): Promise<void>;
  close(): Promise<void>;
}

export async function startTestBed(options: TestBedOptions): Promise<TestBed> {
  const dataDir = await mkdtemp(join(tmpdir(), "backhaul-"));
  const requests: RequestEntry[] = [];
  const embedded = options.s3
    ? undefined
    : await startStore({
        dataDir,
        port: 0,
        accessKeyId: "test",
        secretAccessKey: "test-secret-key",
        ...(options.minPartBytes === undefined ? {} : { minPartBytes: options.minPartBytes }),
        ...(options.sse === undefined ? {} : { sse: options.sse }),
        ...(options.mostPuts === undefined ? {} : { mostPuts: options.mostPuts }),
        ...(options.now === undefined ? {} : { now: options.now }),
        onRequest: (entry) => requests.push(entry),
      } satisfies StoreOptions);
  const target: S3Target = options.s3 ?? {
    endpoint: embedded?.url ?? "",
    region: "us-east-1",
    bucket: "test-bucket",
    credentials: { accessKeyId: "test", secretAccessKey: "test-secret-key" },
  };
  const link = new Link({
    ...(options.linkBytesPerSecond !== undefined && { bytesPerSecond: options.linkBytesPerSecond }),
    ...options.linkOptions,
  });
  const { through = async (_line, url) => url } = options;
  const publicEndpoint = await through("data", await link.to(portOf(target.endpoint)));
  const limits = options.minPartBytes === undefined ? {} : { limits: { minPartBytes: options.minPartBytes } };
  const app = await startAppServer({
    port: 0,
    root: options.root,
    secret: "a secret of the tests, long enough to sign",
    s3: { ...target, ...options.client, endpoint: await through("behind", target.endpoint) },
    handler: { publicEndpoint, ...limits, ...options.handler },
  });
  const s3 = new S3Client({ ...target, forcePathStyle: true });
  const url = `${await through("control", await link.to(portOf(app.url)))}/`;
  await allowOrigin(s3, target.bucket, new URL(url).origin, options.cors);
  return {
    url,
    requests,
    s3,
    link,
    bucket: target.bucket,
    publicEndpoint,
    allowOrigin: (origin) => allowOrigin(s3, target.bucket, origin, options.cors),
    async sha256(key) {
      const { Body } = await s3.send(new GetObjectCommand({ Bucket: target.bucket, Key: key }));
      return sha256OfStream(Body as Readable);
    },
    async close() {
      await app.close();
      await link.close();
      await embedded?.close();
      s3.destroy();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

async function allowOrigin(
  s3: S3Client,
  bucket: string,
  origin: string,
  more: Partial<CORSRule> = {},
): Promise<void> {
  const rule: CORSRule = {
    AllowedOrigins: [origin],
    AllowedMethods: ["PUT"],
    AllowedHeaders: ["*"],
    ExposeHeaders: ["ETag"],
    ...more,
  };
  await s3.send(new PutBucketCorsCommand({ Bucket: bucket, CORSConfiguration: { CORSRules: [rule] } }));
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}

export async function sha256OfStream(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of stream) hash.update(chunk);
  return hash.digest("hex");
}
