/** An engine that takes `x-amz-*` headers which nobody has signed, and what credentials for signing only do against it. */
import { randomUUID } from "node:crypto";
import {
  CreateBucketCommand,
  GetObjectAclCommand,
  GetObjectCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { UploadHandlerOptions } from "../../server/index.ts";
import { type CephEngine, isCephInstalled, startCeph } from "../engines/ceph.ts";
import type { S3Engine } from "../server/s3-engine.ts";
import { cut, startUploadServer } from "../server/upload-server.ts";

const MIB = 1024 * 1024;
const BUCKET = "uploads";
const OTHERS_KEY = "bob/secret.txt";

if (isCephInstalled() || process.env.CI !== undefined) describeSigningClient();
else
  describe.skip("Ceph is not installed: signing by credentials of their own is not tried", () =>
    it("Ceph RGW"));

function describeSigningClient() {
  describe("Ceph RGW 16.2, which takes headers that were not signed", () => {
    let ceph: CephEngine;
    let client: S3Client;
    let signingClient: S3Client;

    const clientOf = (keys: { accessKeyId: string; secretAccessKey: string }) =>
      new S3Client({
        endpoint: ceph.endpoint,
        region: ceph.region,
        forcePathStyle: true,
        credentials: { accessKeyId: keys.accessKeyId, secretAccessKey: keys.secretAccessKey },
      });

    beforeAll(async () => {
      ceph = await startCeph({ sts: false });
      client = clientOf(ceph);
      signingClient = clientOf(await ceph.addUser("signer"));
      await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
      const mayOnlyPut = {
        Version: "2012-10-17",
        Statement: [
          {
            Effect: "Allow",
            Principal: { AWS: ["arn:aws:iam:::user/signer"] },
            Action: ["s3:PutObject"],
            Resource: [`arn:aws:s3:::${BUCKET}/*`],
          },
        ],
      };
      await client.send(new PutBucketPolicyCommand({ Bucket: BUCKET, Policy: JSON.stringify(mayOnlyPut) }));
      await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: OTHERS_KEY, Body: "Bob's" }));
    }, 180_000);

    afterAll(async () => {
      client.destroy();
      signingClient.destroy();
      await ceph.stop();
    }, 30_000);

    async function start(options: Partial<UploadHandlerOptions>) {
      const engine = { client, bucket: BUCKET } as S3Engine;
      const server = await startUploadServer(engine, { limits: {}, ...options });
      onTestFinished(server.close);
      return server;
    }

    /** A part with a header of the sender's own. */
    async function putWith(
      options: Partial<UploadHandlerOptions>,
      method: "single" | "multipart",
      headers: Readonly<Record<string, string>>,
      body: Uint8Array,
    ) {
      const server = await start(options);
      const key = `alice/${randomUUID()}`;
      const partSize = method === "single" ? body.length : 5 * MIB;
      const token = await server.begin({ key, size: body.length, partSize, method });
      const { url, headers: signed } = await server.signOne(token, 1);
      const response = await fetch(url, {
        method: "PUT",
        headers: { ...signed, ...headers },
        body: Buffer.from(body),
      });
      return { server, key, token, status: response.status, text: await response.text() };
    }

    const copy = { "x-amz-copy-source": `/${BUCKET}/${OTHERS_KEY}` };
    const read = async (key: string) =>
      (await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: key }))).Body?.transformToString();

    it("copies another user's object for whoever holds a URL that the server's credentials signed", async () => {
      const { key, status } = await putWith({}, "single", copy, new Uint8Array());
      expect(status).toBe(200);
      // The reason for all that follows. Once it fails, the engine has mended its ways.
      expect(await read(key)).toBe("Bob's");
    });

    it.each(["single", "multipart"] as const)(
      "copies nothing for a URL that credentials for putting only signed: %s",
      async (method) => {
        const { key, status, text } = await putWith({ signingClient }, method, copy, new Uint8Array());
        expect({ status, text }).toEqual({ status: 403, text: expect.stringContaining("AccessDenied") });
        await expect(read(key)).rejects.toMatchObject({ name: "NoSuchKey" });
      },
    );

    it.each(["single", "multipart"] as const)("takes an honest upload signed so: %s", async (method) => {
      // By default, an object that one user puts into another's bucket belongs to the user who put it.
      const server = await start({ signingClient, object: { acl: "bucket-owner-full-control" } });
      const key = `alice/honest-${method}`;
      const body = new Uint8Array(5 * MIB + 3).fill(7);
      const partSize = method === "single" ? body.length : 5 * MIB;
      const token = await server.begin({ key, size: body.length, partSize, method });
      const parts = await server.put(token, cut(body, partSize));
      expect(await server.complete(token, parts)).toMatchObject({ key, size: body.length });
    });

    it("makes an object public for whoever asks, unless an ACL is signed", async () => {
      const open = { "x-amz-acl": "public-read" };
      const body = new TextEncoder().encode("hello");
      const isPublic = async (key: string) => {
        const { Grants = [] } = await client.send(new GetObjectAclCommand({ Bucket: BUCKET, Key: key }));
        return Grants.some(({ Grantee }) => Grantee?.URI?.endsWith("/AllUsers"));
      };
      const unsigned = await putWith({}, "single", open, body);
      expect([unsigned.status, await isPublic(unsigned.key)]).toEqual([200, true]);
      const signed = await putWith({ object: { acl: "private" } }, "single", open, body);
      expect(signed.status).toBe(403);
      const honest = await putWith({ object: { acl: "private" } }, "single", {}, body);
      expect([honest.status, await isPublic(honest.key)]).toEqual([200, false]);
    });

    it("stores and reports what the app wants its objects to have", async () => {
      const object = {
        cacheControl: "private, max-age=60",
        contentDisposition: 'attachment; filename="a b.txt"',
        contentEncoding: "gzip",
      };
      const body = new TextEncoder().encode("hello");
      const { server, token, status } = await putWith({ object }, "single", {}, body);
      expect(status).toBe(200);
      const { parts } = await server.parts(token);
      expect(parts).toHaveLength(1);
      const other = await putWith({ object }, "single", { "content-disposition": "inline" }, body);
      expect(other.status).toBe(403);
      const added = await putWith({}, "single", { "content-disposition": "inline" }, body);
      expect(added.status).toBe(200);
      expect((await added.server.parts(added.token)).parts).toEqual([]);
    });

    it("does not let a single PUT replace an object with ifNoneMatch", async () => {
      const server = await start({ object: { ifNoneMatch: true } });
      const body = new TextEncoder().encode("hello");
      const token = await server.begin({ key: OTHERS_KEY, size: 5, partSize: 5, method: "single" });
      await expect(server.put(token, [[1, body]])).rejects.toThrow(/412/);
      expect(await read(OTHERS_KEY)).toBe("Bob's");
    });

    it("does not let a multipart upload replace one either, though this engine knows no condition for it", async () => {
      const server = await start({ object: { ifNoneMatch: true } });
      const body = new TextEncoder().encode("hello");
      const token = await server.begin({ key: OTHERS_KEY, size: 5, partSize: 5 * MIB });
      const parts = await server.put(token, [[1, body]]);
      expect(await server.refusal("complete", { token, parts })).toMatchObject({ code: "OBJECT_EXISTS" });
      expect(await read(OTHERS_KEY)).toBe("Bob's");
    });
  });
}
