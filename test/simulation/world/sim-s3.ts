import { createHash } from "node:crypto";
import { S3Client, S3ServiceException, type UploadPartCommandInput } from "@aws-sdk/client-s3";
import { UPLOAD_ID_METADATA } from "../../../s3/object-settings.ts";
import type { Presign } from "../../../s3/signer.ts";
import { digestOf } from "./sim-file.ts";

interface SimPart {
  readonly etag: string;
  readonly size: number;
  readonly fingerprint: string;
  /** By `elapsed`. */
  readonly storedAt: number;
}

interface SimUpload {
  readonly key: string;
  readonly initiated: Date;
  /** The page's own id of the upload. */
  readonly uploadId: string;
  readonly parts: Map<number, SimPart>;
}

interface SimObject {
  readonly etag: string;
  readonly size: number;
  readonly uploadId: string;
  /** What the object holds, end to end. */
  readonly fingerprints: readonly string[];
  readonly storedAt: number;
}

export interface S3Watcher {
  /** An open multipart upload is being dropped. */
  aborting(uploadId: string, partCount: number): void;
  completed(uploadId: string, key: string): void;
}

/** What PUT was answered. */
export interface PutResult {
  readonly status: number;
  readonly etag?: string;
  readonly code?: string;
}

/**
 * S3 as far as uploads use it: open multipart uploads, their parts, and objects, in memory. The server's handler reaches it by a
 * real `S3Client` whose `send` ends here; browsers reach it by PUT.
 */
export class SimS3 {
  readonly client: S3Client;
  readonly uploads = new Map<string, SimUpload>();
  readonly objects = new Map<string, SimObject>();
  readonly #clock: { now(): number; elapsed(): number };
  readonly #watcher: S3Watcher;
  /** Decides whether the server's next request to S3 fails, and how. */
  serverFault: () => S3ServiceException | undefined = () => undefined;
  #count = 0;

  constructor(clock: { now(): number; elapsed(): number }, watcher: S3Watcher) {
    this.#clock = clock;
    this.#watcher = watcher;
    this.client = new S3Client({
      region: "us-east-1",
      endpoint: "https://s3.test",
      forcePathStyle: true,
      credentials: { accessKeyId: "simulated", secretAccessKey: "simulated" },
    });
    const send = async (command: { constructor: { name: string }; input: Record<string, unknown> }) => {
      const fault = this.serverFault();
      if (fault) throw fault;
      return this.#perform(command.constructor.name, command.input);
    };
    this.client.send = send as unknown as S3Client["send"];
    // Nothing of the SDK's own is passed, so that there is nothing to copy for each request.
    const bare = { clone: () => bare, add: () => {} };
    Object.assign(this.client, { middlewareStack: bare });
  }

  /** A presigned PUT. @param fingerprint says which bytes came */
  put(url: URL, headers: Headers, size: number, fingerprint: string): PutResult {
    const key = decodeURIComponent(url.pathname.replace(/^\/bucket\//, ""));
    const etag = Buffer.from(digestOf(fingerprint), "base64").toString("hex");
    if (this.#isExpired(url)) return { status: 403, code: "AccessDenied" };
    const md5 = headers.get("content-md5");
    if (md5 !== null && md5 !== digestOf(fingerprint)) return { status: 400, code: "BadDigest" };
    const storedAt = this.#clock.elapsed();
    const s3UploadId = url.searchParams.get("uploadId");
    if (s3UploadId === null) {
      const uploadId = headers.get(`x-amz-meta-${UPLOAD_ID_METADATA}`) ?? "";
      this.objects.set(key, { etag, size, uploadId, fingerprints: [fingerprint], storedAt });
      return { status: 200, etag };
    }
    const upload = this.uploads.get(s3UploadId);
    if (!upload || upload.key !== key) return { status: 404, code: "NoSuchUpload" };
    const partNumber = Number(url.searchParams.get("partNumber"));
    upload.parts.set(partNumber, { etag, size, fingerprint, storedAt });
    return { status: 200, etag };
  }

  /** Whether S3 holds just these bytes for the PUT to this URL, and since when, by `elapsed`. */
  storedAt(url: URL, fingerprint: string): number | undefined {
    const s3UploadId = url.searchParams.get("uploadId");
    if (s3UploadId === null) return undefined;
    const part = this.uploads.get(s3UploadId)?.parts.get(Number(url.searchParams.get("partNumber")));
    return part?.fingerprint === fingerprint ? part.storedAt : undefined;
  }

  #isExpired(url: URL): boolean {
    const [, year, month, day, hour, minute, second] =
      /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(url.searchParams.get("X-Amz-Date") ?? "") ?? [];
    const signedAt = Date.UTC(
      Number(year),
      Number(month) - 1,
      Number(day),
      Number(hour),
      Number(minute),
      Number(second),
    );
    return this.#clock.now() > signedAt + Number(url.searchParams.get("X-Amz-Expires")) * 1_000;
  }

  #perform(name: string, input: Record<string, unknown>): unknown {
    const key = String(input.Key ?? "");
    const s3UploadId = String(input.UploadId ?? "");
    const $metadata = { httpStatusCode: 200, attempts: 1 };
    switch (name) {
      case "CreateMultipartUploadCommand": {
        this.#count += 1;
        const id = `s3-upload-${this.#count}`;
        const { [UPLOAD_ID_METADATA]: uploadId = "" } = input.Metadata as Record<string, string>;
        const initiated = new Date(this.#clock.now());
        this.uploads.set(id, { key, initiated, uploadId, parts: new Map() });
        return { $metadata, UploadId: id, Key: key };
      }
      case "ListMultipartUploadsCommand":
        return {
          $metadata,
          Bucket: "bucket",
          IsTruncated: false,
          Uploads: [...this.uploads].map(([UploadId, { key: Key, initiated: Initiated }]) => ({
            UploadId,
            Key,
            Initiated,
          })),
        };
      case "ListPartsCommand": {
        const { parts } = this.#find(s3UploadId);
        const after = Number(input.PartNumberMarker ?? 0);
        const most = Number(input.MaxParts ?? PAGE);
        const numbers = [...parts.keys()].filter((number) => number > after).sort((a, b) => a - b);
        const page = numbers.slice(0, most);
        return {
          $metadata,
          UploadId: s3UploadId,
          IsTruncated: page.length < numbers.length,
          NextPartNumberMarker: String(page.at(-1) ?? after),
          Parts: page.map((PartNumber) => {
            const { etag, size } = parts.get(PartNumber) as SimPart;
            return { PartNumber, ETag: `"${etag}"`, Size: size };
          }),
        };
      }
      case "CompleteMultipartUploadCommand":
        return { $metadata, Bucket: "bucket", Key: key, ETag: this.#complete(s3UploadId, input) };
      case "AbortMultipartUploadCommand": {
        const { uploadId, parts } = this.#find(s3UploadId);
        this.#watcher.aborting(uploadId, parts.size);
        this.uploads.delete(s3UploadId);
        return { $metadata };
      }
      case "HeadObjectCommand": {
        const object = this.objects.get(key);
        if (!object) throw s3Error("NotFound", 404);
        const Metadata = { [UPLOAD_ID_METADATA]: object.uploadId };
        return { $metadata, Metadata, ContentLength: object.size, ETag: `"${object.etag}"` };
      }
      default:
        throw new TypeError(`the simulated S3 has no ${name}`);
    }
  }

  #complete(s3UploadId: string, input: Record<string, unknown>): string {
    const { key, uploadId, parts } = this.#find(s3UploadId);
    const { Parts } = input.MultipartUpload as { Parts: { PartNumber: number; ETag: string }[] };
    const stored = Parts.map(({ PartNumber, ETag }) => {
      const part = parts.get(PartNumber);
      if (!part || `"${part.etag}"` !== ETag) throw s3Error("InvalidPart", 400);
      return part;
    });
    const digests = Buffer.concat(stored.map(({ etag }) => Buffer.from(etag, "hex")));
    const etag = `${createHash("md5").update(digests).digest("hex")}-${stored.length}`;
    const size = stored.reduce((sum, part) => sum + part.size, 0);
    const fingerprints = stored.map(({ fingerprint }) => fingerprint);
    this.objects.set(key, { etag, size, uploadId, fingerprints, storedAt: this.#clock.elapsed() });
    this.uploads.delete(s3UploadId);
    this.#watcher.completed(uploadId, key);
    return `"${etag}"`;
  }

  #find(s3UploadId: string): SimUpload {
    const upload = this.uploads.get(s3UploadId);
    if (!upload) throw s3Error("NoSuchUpload", 404);
    return upload;
  }
}

/**
 * Signs as far as the simulated S3 looks: until when the URL may be used. The AWS SDK takes ten times as long for a signature as
 * all else does for a part.
 */
export const presign: Presign = async (_client, command, { signingDate = 0, expiresIn = 0 } = {}) => {
  const { Key = "", UploadId, PartNumber } = command.input as Partial<UploadPartCommandInput>;
  const url = new URL(`https://s3.test/bucket/${Key.split("/").map(encodeURIComponent).join("/")}`);
  const date = new Date(signingDate).toISOString().replace(/\.\d+|[-:]/g, "");
  url.search = new URLSearchParams({
    "X-Amz-Date": date,
    "X-Amz-Expires": String(expiresIn),
    ...(UploadId !== undefined && { uploadId: UploadId, partNumber: String(PartNumber) }),
  }).toString();
  return url.href;
};

/** Parts in one answer of ListParts; S3 itself has 1,000. Few, so that there are several pages. */
const PAGE = 5;

export function s3Error(name: string, status: number): S3ServiceException {
  const $metadata = { httpStatusCode: status, attempts: 1 };
  return new S3ServiceException({
    name,
    $fault: status < 500 ? "client" : "server",
    $metadata,
    message: name,
  });
}
