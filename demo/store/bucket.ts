import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Blob, Blobs, type ReceivedBlob } from "./blobs.ts";
import type { Checksum, ChecksumPlan, ObjectChecksum } from "./checksums.ts";
import type { CorsRule } from "./cors.ts";
import { readJson, writeJson } from "./json-file.ts";

/** Headers that HeadObject and GetObject return as they came: content-type and its kin, `x-amz-meta-*`. */
export type StoredHeaders = Readonly<Record<string, string>>;

export interface StoredObject {
  readonly key: string;
  readonly size: number;
  /** Without quotes. */
  readonly etag: string;
  readonly modifiedAt: number;
  readonly headers: StoredHeaders;
  readonly checksum?: ObjectChecksum;
  /** The bytes, in order. A multipart object stays in the files its parts came in. */
  readonly blobs: readonly Blob[];
  /** The multipart upload that made it: a repeated CompleteMultipartUpload is recognized by it. */
  readonly uploadId?: string;
}

export interface Part {
  readonly partNumber: number;
  readonly size: number;
  /** Without quotes: the MD5 in hex, or with SSE-KMS anything. */
  readonly etag: string;
  /** Of the upload's algorithm. */
  readonly checksum?: Checksum;
  readonly modifiedAt: number;
  readonly blob: Blob;
}

interface UploadRecord {
  readonly uploadId: string;
  readonly key: string;
  readonly initiatedAt: number;
  readonly headers: StoredHeaders;
  readonly checksum?: ChecksumPlan;
}

export interface Upload extends UploadRecord {
  readonly parts: ReadonlyMap<number, Part>;
}

/**
 * One bucket: its records in memory and, beside the bytes, as JSON files. Every change is one synchronous step: bytes
 * first, then the record, then what nobody names any more. So a crash loses nothing that was answered, and leaves only
 * rubbish, which the next start sweeps away.
 */
export class Bucket {
  readonly name: string;
  readonly blobs: Blobs;
  readonly #dir: string;
  readonly #tempDir: string;
  readonly #objects = new Map<string, StoredObject>();
  readonly #uploads = new Map<string, UploadRecord & { parts: Map<number, Part> }>();
  #cors: readonly CorsRule[] | undefined;

  constructor(name: string, dir: string, tempDir: string) {
    this.name = name;
    this.#dir = dir;
    this.#tempDir = tempDir;
    for (const folder of ["objects", "uploads"]) mkdirSync(join(dir, folder), { recursive: true });
    this.blobs = new Blobs(join(dir, "blobs"), tempDir);
    this.#load();
  }

  get cors(): readonly CorsRule[] | undefined {
    return this.#cors;
  }

  set cors(rules: readonly CorsRule[] | undefined) {
    if (rules === undefined) rmSync(join(this.#dir, "cors.json"), { force: true });
    else writeJson(join(this.#dir, "cors.json"), rules);
    this.#cors = rules;
  }

  object(key: string): StoredObject | undefined {
    return this.#objects.get(key);
  }

  objects(): IterableIterator<StoredObject> {
    return this.#objects.values();
  }

  upload(uploadId: string): Upload | undefined {
    return this.#uploads.get(uploadId);
  }

  uploads(): IterableIterator<Upload> {
    return this.#uploads.values();
  }

  async putObject(object: Omit<StoredObject, "blobs" | "uploadId">, received: ReceivedBlob): Promise<void> {
    this.blobs.keep(received);
    const { id, size } = received;
    const replaced = this.#setObject({ ...object, blobs: [{ id, size }] });
    await this.blobs.discard(replaced?.blobs ?? []);
  }

  async deleteObject(key: string): Promise<void> {
    const object = this.#objects.get(key);
    if (object === undefined) return;
    rmSync(this.#objectPath(key), { force: true });
    this.#objects.delete(key);
    await this.blobs.discard(object.blobs);
  }

  createUpload(upload: UploadRecord): void {
    mkdirSync(this.#uploadDir(upload.uploadId));
    writeJson(join(this.#uploadDir(upload.uploadId), "upload.json"), upload);
    this.#uploads.set(upload.uploadId, { ...upload, parts: new Map() });
  }

  async putPart(uploadId: string, part: Omit<Part, "blob">, received: ReceivedBlob): Promise<void> {
    const upload = this.#uploads.get(uploadId);
    if (upload === undefined) throw new Error(`No upload ${uploadId}.`);
    this.blobs.keep(received);
    const { id, size } = received;
    const stored = { ...part, blob: { id, size } };
    writeJson(join(this.#uploadDir(uploadId), `${part.partNumber}.json`), stored);
    const replaced = upload.parts.get(part.partNumber);
    upload.parts.set(part.partNumber, stored);
    if (replaced !== undefined) await this.blobs.discard([replaced.blob]);
  }

  /** Turns an upload into `object`, made of the blobs of some or all of its parts; not a byte is copied. */
  async completeUpload(uploadId: string, object: StoredObject): Promise<void> {
    const used = new Set(object.blobs.map(({ id }) => id));
    const replaced = this.#setObject(object);
    await this.#removeUpload(uploadId, (blob) => !used.has(blob.id));
    await this.blobs.discard(replaced?.blobs ?? []);
  }

  async abortUpload(uploadId: string): Promise<void> {
    await this.#removeUpload(uploadId, () => true);
  }

  #setObject(object: StoredObject): StoredObject | undefined {
    writeJson(this.#objectPath(object.key), object);
    const replaced = this.#objects.get(object.key);
    this.#objects.set(object.key, object);
    return replaced;
  }

  async #removeUpload(uploadId: string, unused: (blob: Blob) => boolean): Promise<void> {
    const parts = [...(this.#uploads.get(uploadId)?.parts.values() ?? [])];
    this.#uploads.delete(uploadId);
    const rubbish = join(this.#tempDir, uploadId);
    renameSync(this.#uploadDir(uploadId), rubbish);
    await rm(rubbish, { recursive: true });
    await this.blobs.discard(parts.map(({ blob }) => blob).filter(unused));
  }

  /** Keys hold slashes, dots, anything, and are longer than a file name may be; their hash is neither. */
  #objectPath(key: string): string {
    return join(this.#dir, "objects", `${createHash("sha256").update(key).digest("hex")}.json`);
  }

  #uploadDir(uploadId: string): string {
    return join(this.#dir, "uploads", uploadId);
  }

  #load(): void {
    const cors = join(this.#dir, "cors.json");
    if (existsSync(cors)) this.#cors = readJson(cors);
    for (const path of jsonFiles(join(this.#dir, "objects"))) {
      const object = readJson<StoredObject>(path);
      this.#objects.set(object.key, object);
    }
    for (const uploadId of readdirSync(join(this.#dir, "uploads"))) this.#loadUpload(uploadId);
    const named = [...this.#objects.values()].flatMap(({ blobs }) => blobs);
    for (const { parts } of this.#uploads.values())
      named.push(...[...parts.values()].map(({ blob }) => blob));
    this.blobs.sweep(new Set(named.map(({ id }) => id)));
  }

  #loadUpload(uploadId: string): void {
    const dir = this.#uploadDir(uploadId);
    const record = join(dir, "upload.json");
    const upload = existsSync(record) ? readJson<UploadRecord>(record) : undefined;
    // A crash came between the object's record and the end of its upload, or before the upload was ever answered.
    if (upload === undefined || this.#objects.get(upload.key)?.uploadId === uploadId) {
      rmSync(dir, { recursive: true });
      return;
    }
    const parts = jsonFiles(dir)
      .filter((path) => path !== record)
      .map((path) => readJson<Part>(path));
    this.#uploads.set(uploadId, { ...upload, parts: new Map(parts.map((part) => [part.partNumber, part])) });
  }
}

function jsonFiles(dir: string): string[] {
  return readdirSync(dir)
    .filter((name) => name.endsWith(".json"))
    .map((name) => join(dir, name));
}
