/** A bucket with versions, which the embedded store has not got. */
import {
  CreateBucketCommand,
  HeadObjectCommand,
  PutBucketVersioningCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { CompletedUpload } from "../../server/index.ts";
import { isCephInstalled, startCeph } from "../engines/ceph.ts";
import type { S3Engine } from "../server/s3-engine.ts";
import { startUploadServer } from "../server/upload-server.ts";

if (isCephInstalled() || process.env.CI !== undefined)
  describe("Ceph RGW 16.2, in a bucket with versions", () => {
    it("tells onComplete which version the upload has made", { timeout: 180_000 }, async () => {
      const { endpoint, region, accessKeyId, secretAccessKey, stop } = await startCeph({ sts: false });
      onTestFinished(stop);
      const credentials = { accessKeyId, secretAccessKey };
      const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
      onTestFinished(() => client.destroy());
      const bucket = "versions";
      await client.send(new CreateBucketCommand({ Bucket: bucket }));
      await client.send(
        new PutBucketVersioningCommand({
          Bucket: bucket,
          VersioningConfiguration: { Status: "Enabled" },
        }),
      );
      const onComplete = vi.fn<(upload: CompletedUpload) => void>();
      const server = await startUploadServer({ client, bucket } as S3Engine, { onComplete });
      onTestFinished(server.close);
      const made: unknown[] = [];
      for (const method of ["single", "multipart"] as const) {
        const body = new TextEncoder().encode(method);
        const intent = { key: "a.txt", size: body.length, partSize: body.length, method };
        const token = await server.begin(intent);
        await server.complete(token, await server.put(token, [[1, body]]));
        const { VersionId } = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: "a.txt" }));
        made.push(VersionId);
      }
      expect(new Set(made).size).toBe(2);
      expect(made).not.toContain(undefined);
      expect(onComplete.mock.calls.map(([{ versionId }]) => versionId)).toEqual(made);
    });
  });
else describe.skip("Ceph is not installed: versions are not tried", () => it("Ceph RGW"));
