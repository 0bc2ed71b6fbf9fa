import { existsSync, realpathSync } from "node:fs";
import { createServer } from "node:http";
import { join, sep } from "node:path";
import {
  CreateBucketCommand,
  HeadBucketCommand,
  PutBucketCorsCommand,
  S3Client,
  type S3ClientConfig,
} from "@aws-sdk/client-s3";
import { createUploadHandler, type UploadHandlerOptions } from "backhaul/server";
import { relayServerOptions, toNodeListener } from "backhaul/server/node";
import sirv from "sirv";
import { listenOnLoopback } from "./store/loopback.ts";

export interface S3Target {
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly credentials: NonNullable<S3ClientConfig["credentials"]>;
  /** The server's own client, where it is not to be as the SDK has it. */
  readonly maxAttempts?: number;
  readonly requestHandler?: NonNullable<S3ClientConfig["requestHandler"]>;
}

export interface AppServerOptions {
  /** 0 picks a free one. */
  readonly port: number;
  /** Folder with the built page and worker. */
  readonly root: string;
  readonly s3: S3Target;
  /** Signs the upload tokens; at least 32 bytes. */
  readonly secret: string;
  /** For tests; see `createUploadHandler`. */
  readonly handler?: Partial<
    Pick<
      UploadHandlerOptions,
      "authorize" | "limits" | "object" | "signedUrlSeconds" | "tokenSeconds" | "publicEndpoint"
    >
  >;
}

export interface AppServer {
  readonly url: string;
  close(): Promise<void>;
}

/** The demo's server: its static files, and uploads into one bucket, which is made and opened to the page where need be. */
export async function startAppServer({
  port,
  root,
  s3,
  secret,
  handler,
}: AppServerOptions): Promise<AppServer> {
  const client = new S3Client({ ...s3, forcePathStyle: true });
  const upload = toNodeListener(
    createUploadHandler({
      client,
      bucket: s3.bucket,
      secret,
      basePath: "/uploads",
      // The demo lets anybody who reaches it write to any key. A real app looks at the request's session here.
      authorize: async (_request, { key }) => ({ key }),
      // One process serves all, so that no copy of a relayed request is read elsewhere.
      relayHoldSeconds: 0,
      onError: (error, { operation, key, status }) => {
        if (status === null || status >= 500) console.error(`${operation} ${key}: ${error.message}`);
      },
      ...handler,
    }),
  );
  const files = sirv(root, {
    dev: true,
    setHeaders: (response) => response.setHeader("cache-control", "no-cache"),
  });
  const listening = await listenOnLoopback(
    () =>
      createServer(relayServerOptions, (request, response) => {
        const notFound = () => void response.writeHead(404).end();
        // A page elsewhere whose name leads here ("DNS rebinding") would be of the same origin.
        if (!isLoopback(request.headers.host)) response.writeHead(421).end();
        else if (request.url?.startsWith("/uploads/")) upload(request, response);
        else if (leadsOutOf(root, request.url ?? "/")) notFound();
        else files(request, response, notFound);
      }),
    port,
  );
  const url = `http://localhost:${listening.port}/`;
  await prepareBucket(client, s3.bucket, new URL(url).origin);
  return {
    url,
    async close() {
      await listening.close();
      client.destroy();
    },
  };
}

function isLoopback(host = ""): boolean {
  return /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(host);
}

/** Whether one of the files that the path may stand for is a link to somewhere outside the folder. */
function leadsOutOf(root: string, url: string): boolean {
  const top = realpathSync(root);
  const path = join(top, decoded(new URL(url, "http://localhost").pathname));
  return [path, `${path}.html`, join(path, "index.html")].some((candidate) => {
    if (!existsSync(candidate)) return false;
    const real = realpathSync(candidate);
    return real !== top && !real.startsWith(top + sep);
  });
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

async function prepareBucket(client: S3Client, bucket: string, origin: string): Promise<void> {
  await client.send(new HeadBucketCommand({ Bucket: bucket })).catch(async (error: Error) => {
    if (error.name !== "NotFound" && error.name !== "NoSuchBucket") throw error;
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
  });
  const rule = {
    AllowedOrigins: [origin],
    AllowedMethods: ["PUT"],
    AllowedHeaders: ["*"],
    // Without it a page can't read what S3 says it has stored.
    ExposeHeaders: ["ETag"],
    MaxAgeSeconds: 3_600,
  };
  try {
    await client.send(new PutBucketCorsCommand({ Bucket: bucket, CORSConfiguration: { CORSRules: [rule] } }));
  } catch (error) {
    // OpenStack Swift, for one, takes it from its configuration only.
    console.warn(
      `The bucket's CORS rules could not be set (${String(error)}). Uploads work only if they allow ${origin}.`,
    );
  }
}
