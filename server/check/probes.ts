import { randomUUID } from "node:crypto";
import { AbortMultipartUploadCommand, DeleteObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { isNoSuchUpload } from "../../s3/s3-faults.ts";
import { failureOf } from "./remedies.ts";

/** What the check has left in the bucket, so that it can be removed again. */
export interface Probes {
  /** A key that no object has. */
  newKey(): string;
  /** Something of another key, as the handler decided it. */
  addKey(key: string): void;
  addUpload(key: string, s3UploadId: string): void;
  /** Removes everything, and returns what could not be removed, and why. */
  remove(): Promise<readonly string[]>;
}

export function createProbes(client: S3Client, bucket: string, prefix: string): Probes {
  const run = randomUUID();
  const keys = new Set<string>();
  const uploads: (readonly [key: string, s3UploadId: string])[] = [];

  async function attempt(name: string, work: () => Promise<unknown>): Promise<string | null> {
    try {
      await work();
      return null;
    } catch (error) {
      return isNoSuchUpload(error) ? null : `${name}: ${failureOf(error).message}`;
    }
  }

  return {
    newKey() {
      const key = `${prefix}backhaul-check/${run}/${keys.size + 1}`;
      keys.add(key);
      return key;
    },
    addKey: (key) => void keys.add(key),
    addUpload: (key, s3UploadId) => void uploads.push([key, s3UploadId]),
    async remove() {
      const left: (string | null)[] = [];
      for (const [Key, UploadId] of uploads) {
        const command = new AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId });
        left.push(await attempt(`upload ${UploadId} of ${Key}`, () => client.send(command)));
      }
      for (const Key of keys) {
        const command = new DeleteObjectCommand({ Bucket: bucket, Key });
        left.push(await attempt(Key, () => client.send(command)));
      }
      return left.filter((each) => each !== null);
    },
  };
}
