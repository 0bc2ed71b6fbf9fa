import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { S3Client } from "@aws-sdk/client-s3";
import { onTestFinished } from "vitest";
import { type RequestEntry, type Store, type StoreOptions, startStore } from "../../demo/store/server.ts";

export const BUCKET = "temporary";

/** A store of one test, and what it has seen; it can be started again on the same data. */
export class TemporaryStore {
  readonly dataDir: string;
  readonly #entries: RequestEntry[] = [];
  readonly #waiting: ((entry: RequestEntry) => void)[] = [];
  #store: Store | undefined;
  #s3: S3Client | undefined;

  private constructor(dataDir: string) {
    this.dataDir = dataDir;
  }

  static async start(options: Partial<StoreOptions> = {}): Promise<TemporaryStore> {
    const temporary = new TemporaryStore(await mkdtemp(join(tmpdir(), "store-")));
    onTestFinished(async () => {
      await temporary.stop();
      await rm(temporary.dataDir, { recursive: true });
    });
    await temporary.start(options);
    return temporary;
  }

  async start(options: Partial<StoreOptions> = {}): Promise<void> {
    this.#store = await startStore({
      dataDir: this.dataDir,
      port: 0,
      accessKeyId: "temporary",
      secretAccessKey: "temporary-secret",
      minPartBytes: 1,
      onRequest: (entry) => {
        this.#entries.push(entry);
        this.#waiting.shift()?.(entry);
      },
      ...options,
    });
    this.#store.createBucket(BUCKET);
    this.#s3 = new S3Client({
      region: this.#store.region,
      endpoint: this.#store.url,
      forcePathStyle: true,
      credentials: this.#store,
      maxAttempts: 1,
      requestChecksumCalculation: "WHEN_REQUIRED",
    });
  }

  async stop(): Promise<void> {
    this.#s3?.destroy();
    await this.#store?.close();
  }

  get store(): Store {
    if (this.#store === undefined) throw new Error("The store has not been started.");
    return this.#store;
  }

  get s3(): S3Client {
    if (this.#s3 === undefined) throw new Error("The store has not been started.");
    return this.#s3;
  }

  get entries(): readonly RequestEntry[] {
    return this.#entries;
  }

  /** The next request to end from now on. */
  nextEntry(): Promise<RequestEntry> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Names of the files in a folder of the bucket, or in `tmp` of the store. */
  files(folder: "tmp" | "blobs" | "objects" | "uploads"): Promise<string[]> {
    return readdir(join(this.dataDir, folder === "tmp" ? "tmp" : join("buckets", BUCKET, folder)));
  }
}
