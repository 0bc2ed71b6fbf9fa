import { GetObjectCommand, PutObjectCommand, type S3Client, UploadPartCommand } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import type { Multipart } from "./multipart.ts";
import type { Subject } from "./subject.ts";

type Options = NonNullable<Parameters<typeof getSignedUrl>[2]>;

export function presignPut(
  subject: Subject,
  key: string,
  options: Options & { client?: S3Client } = {},
): Promise<string> {
  const { client = subject.s3, ...rest } = options;
  return getSignedUrl(client, new PutObjectCommand({ Bucket: subject.bucket, Key: key }), rest);
}

export function presignGet(subject: Subject, key: string): Promise<string> {
  return getSignedUrl(subject.s3, new GetObjectCommand({ Bucket: subject.bucket, Key: key }));
}

export function presignPart(
  subject: Subject,
  upload: Pick<Multipart, "key" | "uploadId">,
  partNumber: number,
  options: Options = {},
): Promise<string> {
  const { key: Key, uploadId: UploadId } = upload;
  const command = new UploadPartCommand({ Bucket: subject.bucket, Key, UploadId, PartNumber: partNumber });
  return getSignedUrl(subject.s3, command, options);
}
