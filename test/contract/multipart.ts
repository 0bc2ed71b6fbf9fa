import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  type CompleteMultipartUploadCommandOutput,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  ListPartsCommand,
  type Part,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import type { Subject } from "./subject.ts";

export const MIB = 1024 ** 2;
/** S3's smallest part but the last. */
export const PART_BYTES = 5 * MIB;

export interface SentPart {
  readonly PartNumber: number;
  readonly ETag: string;
}

/** One multipart upload of a test. */
export class Multipart {
  readonly key: string;
  readonly uploadId: string;
  readonly #subject: Subject;

  private constructor(subject: Subject, key: string, uploadId: string) {
    this.#subject = subject;
    this.key = key;
    this.uploadId = uploadId;
  }

  static async create(
    subject: Subject,
    key: string,
    input: Omit<CreateMultipartUploadCommandInput, "Bucket" | "Key"> = {},
  ): Promise<Multipart> {
    const created = await subject.s3.send(
      new CreateMultipartUploadCommand({ Bucket: subject.bucket, Key: key, ...input }),
    );
    return new Multipart(subject, key, created.UploadId ?? "");
  }

  async put(partNumber: number, body: Buffer): Promise<SentPart> {
    const sent = await this.#subject.s3.send(
      new UploadPartCommand({ ...this.#names, PartNumber: partNumber, Body: body }),
    );
    return { PartNumber: partNumber, ETag: sent.ETag ?? "" };
  }

  complete(parts: readonly SentPart[]): Promise<CompleteMultipartUploadCommandOutput> {
    return this.#subject.s3.send(
      new CompleteMultipartUploadCommand({ ...this.#names, MultipartUpload: { Parts: [...parts] } }),
    );
  }

  abort() {
    return this.#subject.s3.send(new AbortMultipartUploadCommand(this.#names));
  }

  list(page: { PartNumberMarker?: string; MaxParts?: number } = {}) {
    return this.#subject.s3.send(new ListPartsCommand({ ...this.#names, ...page }));
  }

  /** Every part S3 has, over all pages. */
  async parts(): Promise<Part[]> {
    const parts: Part[] = [];
    for (let marker: string | undefined; ; ) {
      const page = await this.list(marker === undefined ? {} : { PartNumberMarker: marker });
      parts.push(...(page.Parts ?? []));
      if (page.IsTruncated !== true) return parts;
      marker = page.NextPartNumberMarker;
    }
  }

  get #names() {
    return { Bucket: this.#subject.bucket, Key: this.key, UploadId: this.uploadId };
  }
}
