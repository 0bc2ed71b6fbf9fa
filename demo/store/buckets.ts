import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Bucket } from "./bucket.ts";
import { S3Error } from "./errors.ts";

/** Every bucket below the data directory, loaded at the start. */
export class Buckets {
  readonly #dir: string;
  readonly #tempDir: string;
  readonly #buckets = new Map<string, Bucket>();

  constructor(dataDir: string) {
    this.#dir = join(dataDir, "buckets");
    this.#tempDir = join(dataDir, "tmp");
    rmSync(this.#tempDir, { recursive: true, force: true });
    for (const dir of [this.#dir, this.#tempDir]) mkdirSync(dir, { recursive: true });
    for (const name of readdirSync(this.#dir)) this.#open(name);
  }

  find(name: string): Bucket | undefined {
    return this.#buckets.get(name);
  }

  get(name: string): Bucket {
    const bucket = this.#buckets.get(name);
    if (bucket === undefined) throw new S3Error("NoSuchBucket", undefined, { BucketName: name });
    return bucket;
  }

  /** Does nothing to a bucket that is there. */
  create(name: string): void {
    if (!/^[a-z\d][a-z\d.-]{1,61}[a-z\d]$/.test(name) || name.includes("..")) {
      throw new S3Error("InvalidBucketName", undefined, { BucketName: name });
    }
    if (!this.#buckets.has(name)) this.#open(name);
  }

  #open(name: string): void {
    this.#buckets.set(name, new Bucket(name, join(this.#dir, name), this.#tempDir));
  }
}
