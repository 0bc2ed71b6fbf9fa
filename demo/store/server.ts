/**
 * The embedded S3 store: a small S3 on the loopback interface, for development and tests only. It knows one pair of
 * credentials, has path-style addresses and no TLS, does not flush to the disk's platters, and keeps all metadata in memory.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Credentials } from "./authenticate.ts";
import { Buckets } from "./buckets.ts";
import type { ServerSideEncryption } from "./encryption.ts";
import { MIN_PART_BYTES } from "./limits.ts";
import { listenOnLoopback } from "./loopback.ts";
import { handleRequest } from "./request-handler.ts";
import type { RequestEntry } from "./request-log.ts";

export type { RequestEntry } from "./request-log.ts";

export interface StoreOptions {
  /** Everything the store keeps is below it. One store at a time. */
  readonly dataDir: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** The one address to listen on. @default both 127.0.0.1 and ::1 */
  readonly host?: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** @default "us-east-1" */
  readonly region?: string;
  /** The smallest part but the last, in bytes. Tests lower it. @default 5 MiB, S3's own */
  readonly minPartBytes?: number;
  /** Bodies taken in at once; more are answered 503 SlowDown. Tests lower it. @default no limit */
  readonly mostPuts?: number;
  /** Answers like a bucket that encrypts by itself, whose ETags are no MD5s. The bytes lie on the disk as they came. */
  readonly sse?: ServerSideEncryption;
  /** Milliseconds since the epoch. @default Date.now */
  readonly now?: () => number;
  /** Called when a request has ended and the connection is ready for the next. */
  readonly onRequest?: (entry: RequestEntry) => void;
}

export interface Store extends Credentials {
  /** `http://localhost:9000`, say. */
  readonly url: string;
  readonly port: number;
  /** Does nothing if the bucket is there. */
  createBucket(name: string): void;
  /** Ends all connections, running uploads too, and waits until nothing of them is left. */
  close(): Promise<void>;
}

export async function startStore(options: StoreOptions): Promise<Store> {
  const { dataDir, accessKeyId, secretAccessKey, onRequest } = options;
  const credentials: Credentials = { accessKeyId, secretAccessKey, region: options.region ?? "us-east-1" };
  const buckets = new Buckets(dataDir);
  let url = "";
  const context = {
    buckets,
    credentials,
    minPartBytes: options.minPartBytes ?? MIN_PART_BYTES,
    traffic: { puts: 0, mostPuts: options.mostPuts ?? Number.POSITIVE_INFINITY },
    sse: options.sse,
    now: options.now ?? Date.now,
    url: () => url,
  };
  const running = new Set<Promise<void>>();
  const onHttp = (request: IncomingMessage, response: ServerResponse) => {
    const done = handleRequest(context, request, response).then((entry) => onRequest?.(entry));
    running.add(done);
    void done.finally(() => running.delete(done));
  };
  const listening = await listenOnLoopback(
    // No limit on a whole request, since a slow part may take hours, but one on its head; idle connections outlive any
    // browser's.
    () => createServer({ requestTimeout: 0, headersTimeout: 60_000, keepAliveTimeout: 75_000 }, onHttp),
    options.port,
    options.host,
  );
  url = `http://${options.host ?? "localhost"}:${listening.port}`;
  return {
    ...credentials,
    url,
    port: listening.port,
    createBucket: (name) => buckets.create(name),
    close: async () => {
      await listening.close();
      await Promise.all(running);
    },
  };
}
