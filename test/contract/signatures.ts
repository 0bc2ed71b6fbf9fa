import { createHash } from "node:crypto";
import { GetObjectCommand, HeadObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { beforeAll, describe, expect, it } from "vitest";
import { Multipart } from "./multipart.ts";
import { presignPart, presignPut } from "./presign.ts";
import { type RawRequest, send, verdict, verdictOf } from "./reply.ts";
import type { Subject } from "./subject.ts";

const BODY = "part of something";
const ETAG = `"${createHash("md5").update(BODY).digest("hex")}"`;
const HOUR_MS = 60 * 60 * 1000;

export function describeSignatures(subject: Subject): void {
  describe("presigned URLs", () => {
    let upload: Multipart;
    beforeAll(async () => {
      upload = await Multipart.create(subject, "signed");
    });
    const putPart = async (
      partNumber: number,
      change: (url: string) => string,
      more: Partial<RawRequest> = {},
    ) => send(change(await presignPart(subject, upload, partNumber)), { method: "PUT", body: BODY, ...more });
    const same = (url: string) => url;

    it("let fetch put a part", async () => {
      const response = await fetch(await presignPart(subject, upload, 1), { method: "PUT", body: BODY });
      expect(response.status).toBe(200);
      expect(response.headers.get("etag")).toBe(ETAG);
    });

    it("are void once changed", async () => {
      const forged = await putPart(2, (url) =>
        url.replace(/(X-Amz-Signature=)(.)/, (_, name, digit) => name + (digit === "0" ? "1" : "0")),
      );
      subject.check("wrong signature", verdict(forged), "403 SignatureDoesNotMatch");
      const otherPart = await putPart(2, (url) => url.replace("partNumber=2", "partNumber=3"));
      subject.check("wrong signature", verdict(otherPart), "403 SignatureDoesNotMatch");
      const otherKey = await putPart(2, (url) => url.replace("/signed?", "/designed?"));
      subject.check("wrong signature", verdict(otherKey), "403 SignatureDoesNotMatch");
      const otherMethod = await putPart(2, same, { method: "POST" });
      subject.check("signed for another method", verdict(otherMethod), "403 SignatureDoesNotMatch");
      const longer = await putPart(2, (url) => url.replace(/X-Amz-Expires=\d+/, "X-Amz-Expires=86400"));
      subject.check("wrong signature", verdict(longer), "403 SignatureDoesNotMatch");
      expect((await upload.parts()).map((part) => part.PartNumber)).toEqual([1]);
    });

    it("are void without one of their parameters", async () => {
      const reply = await putPart(4, (url) => url.replace(/&X-Amz-Signature=[^&]*/, ""));
      subject.check(
        "presigned URL without its signature",
        verdict(reply),
        "400 AuthorizationQueryParametersError",
      );
    });

    it("may not live longer than a week", async () => {
      const reply = await putPart(4, (url) => url.replace(/X-Amz-Expires=\d+/, "X-Amz-Expires=604801"));
      subject.check(
        "presigned for more than a week",
        verdict(reply),
        "400 AuthorizationQueryParametersError",
      );
    });

    it("expire", async () => {
      const signingDate = new Date(Date.now() - HOUR_MS);
      const past = await presignPart(subject, upload, 5, { signingDate, expiresIn: 60 });
      const reply = await send(past, { method: "PUT", body: BODY });
      expect(verdict(reply)).toBe("403 AccessDenied");
      subject.check(
        "message of an expired URL",
        /<Message>(.*?)</.exec(reply.text)?.[1],
        "Request has expired",
      );
      const alive = await presignPart(subject, upload, 6, { signingDate, expiresIn: 2 * 60 * 60 });
      expect(verdict(await send(alive, { method: "PUT", body: BODY }))).toBe("200");
    });

    it("refuse x-amz-* headers that were not signed", async () => {
      const reply = await putPart(7, same, { headers: { "x-amz-meta-smuggled": "yes" } });
      subject.check("x-amz-* header that was not signed", verdict(reply), "403 AccessDenied");
    });

    it("let Content-MD5 and Content-Type through unsigned", async () => {
      const md5 = createHash("md5").update(BODY).digest("base64");
      const reply = await putPart(8, same, { headers: { "content-md5": md5, "content-type": "image/png" } });
      expect(verdict(reply)).toBe("200");
    });

    it("demand the headers they signed", async () => {
      const command = new PutObjectCommand({
        Bucket: subject.bucket,
        Key: "signed-type",
        ContentType: "image/png",
      });
      const url = await getSignedUrl(subject.s3, command, { signableHeaders: new Set(["content-type"]) });
      const put = async (type: string) =>
        verdict(await send(url, { method: "PUT", headers: { "content-type": type }, body: BODY }));
      subject.check("wrong signature", await put("text/html"), "403 SignatureDoesNotMatch");
      expect(await put("image/png")).toBe("200");
    });

    it("are refused from strangers", async () => {
      const credentials = { accessKeyId: "stranger", secretAccessKey: "unknown" };
      const url = await presignPut(subject, "strange", { client: subject.client({ credentials }) });
      subject.check(
        "unknown access key",
        verdict(await send(url, { method: "PUT", body: BODY })),
        "403 InvalidAccessKeyId",
      );
    });
  });

  describe("the Authorization header", () => {
    const put = (config: Parameters<Subject["client"]>[0]) => {
      const command = new PutObjectCommand({ Bucket: subject.bucket, Key: "authorized", Body: BODY });
      return verdictOf(subject.client(config).send(command));
    };

    it("is checked", async () => {
      const { accessKeyId, secretAccessKey } = subject.engine;
      subject.check(
        "wrong signature",
        await put({ credentials: { accessKeyId, secretAccessKey: `${secretAccessKey}x` } }),
        "403 SignatureDoesNotMatch",
      );
      subject.check(
        "unknown access key",
        await put({ credentials: { accessKeyId: "stranger", secretAccessKey } }),
        "403 InvalidAccessKeyId",
      );
      const get = subject.s3.send(new GetObjectCommand({ Bucket: subject.bucket, Key: "authorized" }));
      expect(await verdictOf(get)).toBe("404 NoSuchKey");
    });

    it("allows the clock to be off by 15 minutes", async () => {
      expect(await put({ systemClockOffset: -14 * 60 * 1000 })).toBe("200");
      expect(await put({ systemClockOffset: -16 * 60 * 1000 })).toBe("403 RequestTimeTooSkewed");
      expect(await put({ systemClockOffset: 16 * 60 * 1000 })).toBe("403 RequestTimeTooSkewed");
    });

    it("covers the body's SHA-256", async () => {
      const client = subject.client();
      // Past the signing: the bytes on the wire are not those that were hashed.
      client.middlewareStack.add(
        (next) => (args) => {
          (args.request as { body: unknown }).body = BODY.toUpperCase();
          return next(args);
        },
        { step: "deserialize", name: "tamper" },
      );
      const command = { Bucket: subject.bucket, Key: "tampered" };
      const tampered = client.send(new PutObjectCommand({ ...command, Body: BODY }));
      expect(await verdictOf(tampered)).toBe("400 XAmzContentSHA256Mismatch");
      expect(await verdictOf(subject.s3.send(new HeadObjectCommand(command)))).toBe("404 NotFound");
    });

    it("is not replaced by nothing", async () => {
      const url = `${subject.engine.endpoint}/${subject.bucket}/anonymous`;
      subject.check(
        "anonymous PUT",
        verdict(await send(url, { method: "PUT", body: BODY })),
        "403 AccessDenied",
      );
      subject.check("anonymous GET", verdict(await send(url, { method: "GET" })), "403 AccessDenied");
    });
  });
}
