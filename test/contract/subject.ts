import { randomBytes } from "node:crypto";
import { CreateBucketCommand, S3Client, type S3ClientConfig } from "@aws-sdk/client-s3";
import { expect } from "vitest";
import type { S3Engine } from "../engines/engine.ts";

export type { S3Engine } from "../engines/engine.ts";

/** How an engine answers where it does not answer as AWS does, by the name of the case. */
export type KnownDifferences = Readonly<Record<string, unknown>>;

/** The engine under test: started for the suite, with a bucket of the suite's own. */
export class Subject {
  readonly bucket = `contract-${randomBytes(6).toString("hex")}`;
  readonly #start: () => Promise<S3Engine>;
  readonly #differences: KnownDifferences;
  readonly #unmet: Set<string>;
  #engine: S3Engine | undefined;
  #s3: S3Client | undefined;

  constructor(start: () => Promise<S3Engine>, differences: KnownDifferences) {
    this.#start = start;
    this.#differences = differences;
    this.#unmet = new Set(Object.keys(differences));
  }

  async start(): Promise<void> {
    this.#engine = await this.#start();
    this.#s3 = this.client();
    await this.s3.send(new CreateBucketCommand({ Bucket: this.bucket }));
  }

  async stop(): Promise<void> {
    this.#s3?.destroy();
    await this.#engine?.stop();
  }

  /** CORS stands in the engine's own configuration: S3 can neither set it nor tell. */
  get lacksCors(): boolean {
    return Object.hasOwn(this.#differences, "PutBucketCors");
  }

  get engine(): S3Engine {
    if (this.#engine === undefined) throw new Error("The engine has not been started.");
    return this.#engine;
  }

  get s3(): S3Client {
    if (this.#s3 === undefined) throw new Error("The engine has not been started.");
    return this.#s3;
  }

  /** A client as Backhaul makes it: each request is sent once, no checksum of its own unless S3 demands one. */
  client(config: S3ClientConfig = {}): S3Client {
    const { endpoint, region, accessKeyId, secretAccessKey } = this.engine;
    return new S3Client({
      endpoint,
      region,
      forcePathStyle: true,
      credentials: { accessKeyId, secretAccessKey },
      maxAttempts: 1,
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
      ...config,
    });
  }

  /** Asserts what AWS answers or, where a difference is known, what this engine was measured to answer instead. */
  check(name: string, actual: unknown, aws: unknown): void {
    this.#unmet.delete(name);
    const isKnown = Object.hasOwn(this.#differences, name);
    if (isKnown)
      expect(aws, `"${name}" is listed as a difference, but is none`).not.toEqual(this.#differences[name]);
    // Soft, so that one run measures all of a new engine.
    expect.soft(actual, name).toEqual(isKnown ? this.#differences[name] : aws);
  }

  /** Names of differences that no case has asked for. */
  get unmetDifferences(): string[] {
    return [...this.#unmet];
  }
}
