import { AbortMultipartUploadCommand, ListMultipartUploadsCommand } from "@aws-sdk/client-s3";
import type { Page } from "playwright";
import { type BrowserBed, startBrowserBed } from "../browser/browser-bed.ts";
import type { TestBedOptions } from "../support/test-bed.ts";
import type { Line, NamedRequest } from "./fault.ts";
import { FaultPlan } from "./fault-plan.ts";
import { FaultProxy, type ProxyEntry } from "./fault-proxy.ts";

/** A browser, an app and its S3, with a proxy on each line between them, and one page that stays open. */
export interface FaultBed extends BrowserBed {
  readonly page: Page;
  readonly plan: FaultPlan;
  /** The requests to S3 for this key, and those to the app's server. */
  entries(key: string): ProxyEntry[];
  /** Drops the multipart upload of a request at S3. */
  abortAtS3(request: NamedRequest): Promise<void>;
  /** Gives the worker headers for the app's server, as after a sign-in. */
  signIn(): Promise<void>;
  /** Ids of the multipart uploads for this key that S3 has open. */
  openUploads(key: string): Promise<string[]>;
}

/** Times that let a fault pass quickly. */
const QUICK = { retry: { baseMs: 20, maxMs: 200 }, stallTimeoutMs: 1_500, timeoutMs: 2_000 };
const S3_TIMEOUT_MS = 1_000;

export async function startFaultBed(
  options: Pick<TestBedOptions, "handler" | "minPartBytes" | "now" | "s3">,
  engine: Readonly<Record<string, unknown>> = {},
): Promise<FaultBed> {
  const plan = new FaultPlan();
  const proxies: FaultProxy[] = [];
  const through = async (line: Line, url: string) => {
    const proxy = await FaultProxy.start(line, url, plan);
    proxies.push(proxy);
    return proxy.url;
  };
  const bed = await startBrowserBed({
    ...options,
    through,
    // One try, so that each fault is seen by more than the SDK.
    client: {
      maxAttempts: 1,
      requestHandler: { requestTimeout: S3_TIMEOUT_MS, throwOnRequestTimeout: true },
    },
  });
  const limits = options.minPartBytes === undefined ? {} : { limits: { minPartBytes: options.minPartBytes } };
  const page = await bed.openPage({ ...QUICK, ...limits, parallelParts: 12, relay: false, ...engine });
  return {
    ...bed,
    page,
    plan,
    entries: (key) => proxies.flatMap(({ entries }) => entries.filter((entry) => entry.key === key)),
    async abortAtS3({ key, uploadId }) {
      const upload = { Bucket: bed.bucket, Key: key, UploadId: uploadId };
      await bed.s3.send(new AbortMultipartUploadCommand(upload)).catch(() => {});
    },
    signIn: () => page.evaluate(() => uploads.setAuth({ "x-session": crypto.randomUUID() })),
    async openUploads(key) {
      const wanted = new ListMultipartUploadsCommand({ Bucket: bed.bucket, Prefix: key });
      const { Uploads = [] } = await bed.s3.send(wanted);
      return Uploads.filter(({ Key }) => Key === key).map(({ UploadId }) => UploadId as string);
    },
    async close() {
      await bed.close();
      for (const proxy of proxies) await proxy.close();
    },
  };
}
