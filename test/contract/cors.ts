import {
  type CORSRule,
  CreateBucketCommand,
  GetBucketCorsCommand,
  PutBucketCorsCommand,
  PutObjectCommand,
} from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { beforeAll, describe, expect, it } from "vitest";
import { type RawRequest, type Reply, send, verdict, verdictOf } from "./reply.ts";
import type { Subject } from "./subject.ts";

const ORIGIN = "https://app.example.com";

export function describeCors(subject: Subject): void {
  it("CORS is set by S3", async () => {
    const CORSConfiguration = { CORSRules: [{ AllowedOrigins: [ORIGIN], AllowedMethods: ["PUT"] }] };
    const put = subject.s3.send(new PutBucketCorsCommand({ Bucket: subject.bucket, CORSConfiguration }));
    subject.check("PutBucketCors", await verdictOf(put), "200");
  });

  describe.skipIf(subject.lacksCors)("CORS", () => {
    const bucket = `${subject.bucket}-cors`;
    const url = () => `${subject.engine.endpoint}/${bucket}/object`;
    const configure = (...CORSRules: CORSRule[]) =>
      subject.s3.send(new PutBucketCorsCommand({ Bucket: bucket, CORSConfiguration: { CORSRules } }));
    const preflight = (origin: string, method: string, headers?: string) =>
      send(url(), {
        method: "OPTIONS",
        headers: {
          origin,
          "access-control-request-method": method,
          ...(headers === undefined ? {} : { "access-control-request-headers": headers }),
        },
      });
    const put = async (
      origin: string,
      request: Partial<RawRequest> = {},
      change = (signed: string) => signed,
    ) => {
      const signed = await getSignedUrl(subject.s3, new PutObjectCommand({ Bucket: bucket, Key: "object" }));
      return send(change(signed), {
        method: "PUT",
        body: "x",
        ...request,
        headers: { origin, ...request.headers },
      });
    };

    beforeAll(async () => {
      await subject.s3.send(new CreateBucketCommand({ Bucket: bucket }));
    });

    it("is off until it is configured", async () => {
      const none = subject.s3.send(new GetBucketCorsCommand({ Bucket: bucket }));
      expect(await verdictOf(none)).toBe("404 NoSuchCORSConfiguration");
      subject.check(
        "preflight without a configuration",
        verdict(await preflight(ORIGIN, "PUT")),
        "403 AccessForbidden",
      );
      const reply = await put(ORIGIN);
      expect(verdict(reply)).toBe("200");
      expect(corsHeaders(reply)).toEqual({});
    });

    it("refuses nonsense", async () => {
      const twoStars = configure({ AllowedOrigins: ["https://*.example.*"], AllowedMethods: ["PUT"] });
      subject.check("origin with two wildcards", await verdictOf(twoStars), "400 InvalidRequest");
      const patch = configure({ AllowedOrigins: ["*"], AllowedMethods: ["PATCH"] });
      subject.check("unknown method", await verdictOf(patch), "400 InvalidRequest");
    });

    describe("with a rule for some origins", () => {
      const rule = {
        AllowedOrigins: ["https://*.example.com", "http://localhost:8080"],
        AllowedMethods: ["GET", "PUT"],
        AllowedHeaders: ["content-type", "X-Amz-*"],
        ExposeHeaders: ["ETag"],
        MaxAgeSeconds: 600,
      };
      beforeAll(async () => {
        await configure({ AllowedOrigins: ["https://first.test"], AllowedMethods: ["HEAD"] }, rule);
      });

      it("gives the configuration back", async () => {
        const { CORSRules } = await subject.s3.send(new GetBucketCorsCommand({ Bucket: bucket }));
        expect(CORSRules).toHaveLength(2);
        const [, given] = CORSRules ?? [];
        // Engines list the members of a rule in an order of their own.
        for (const name of ["AllowedOrigins", "AllowedMethods", "AllowedHeaders", "ExposeHeaders"] as const) {
          expect(given?.[name]?.toSorted(), name).toEqual(rule[name].toSorted());
        }
        expect(given?.MaxAgeSeconds).toBe(600);
      });

      it("answers a preflight", async () => {
        const reply = await preflight(ORIGIN, "PUT", "Content-Type, x-amz-meta-a");
        expect(reply.status).toBe(200);
        subject.check("headers of a preflight", corsHeaders(reply), {
          "access-control-allow-origin": ORIGIN,
          "access-control-allow-credentials": "true",
          "access-control-allow-methods": "GET, PUT",
          "access-control-allow-headers": "content-type, x-amz-meta-a",
          "access-control-expose-headers": "ETag",
          "access-control-max-age": "600",
        });
      });

      it("answers a preflight that asks for no headers", async () => {
        const reply = await preflight("http://localhost:8080", "GET");
        expect(reply.status).toBe(200);
        expect(reply.headers["access-control-allow-origin"]).toBe("http://localhost:8080");
        expect(reply.headers["access-control-allow-headers"]).toBeUndefined();
      });

      it.each([
        ["origin", "https://example.com", "PUT", "content-type"],
        ["origin of another port", "http://localhost:8081", "PUT", "content-type"],
        ["method", ORIGIN, "DELETE", "content-type"],
        ["header", ORIGIN, "PUT", "content-type, x-other"],
      ])("refuses a preflight for the wrong %s", async (what, origin, method, headers) => {
        const reply = await preflight(origin, method, headers);
        subject.check(`preflight for the wrong ${what}`, verdict(reply), "403 AccessForbidden");
        expect(corsHeaders(reply)).toEqual({});
      });

      it("adds its headers to the answer", async () => {
        const reply = await put(ORIGIN);
        expect(verdict(reply)).toBe("200");
        subject.check("headers of an answer", corsHeaders(reply), {
          "access-control-allow-origin": ORIGIN,
          "access-control-allow-credentials": "true",
          "access-control-allow-methods": "GET, PUT",
          "access-control-expose-headers": "ETag",
          "access-control-max-age": "600",
        });
        expect(reply.headers.vary).toMatch(/Origin/);
      });

      it("lets a request of another origin run, without its headers", async () => {
        const reply = await put("https://elsewhere.test");
        expect(verdict(reply)).toBe("200");
        expect(corsHeaders(reply)).toEqual({});
      });

      it("adds its headers to errors", async () => {
        const allowed = (reply: Reply) => [verdict(reply), reply.headers["access-control-allow-origin"]];
        const digest = await put(ORIGIN, { headers: { "content-md5": "AAAAAAAAAAAAAAAAAAAAAA==" } });
        subject.check("CORS on a 400", allowed(digest), ["400 BadDigest", ORIGIN]);
        const forged = await put(ORIGIN, {}, (signed) => signed.replace("/object?", "/other?"));
        subject.check("CORS on a 403", allowed(forged), ["403 SignatureDoesNotMatch", ORIGIN]);
        const anonymous = await send(url(), { method: "GET", headers: { origin: ORIGIN } });
        subject.check("CORS on a 403 without a signature", allowed(anonymous), ["403 AccessDenied", ORIGIN]);
      });
    });

    it("lets every origin in with a star", async () => {
      await configure({ AllowedOrigins: ["*"], AllowedMethods: ["PUT"], AllowedHeaders: ["*"] });
      const asked = await preflight(ORIGIN, "PUT", "x-anything");
      expect(asked.status).toBe(200);
      expect(asked.headers["access-control-allow-headers"]).toBe("x-anything");
      const origins = [asked, await put(ORIGIN)].map((reply) => [
        reply.headers["access-control-allow-origin"],
        reply.headers["access-control-allow-credentials"],
      ]);
      subject.check("origin * in answers", origins, [
        ["*", undefined],
        ["*", undefined],
      ]);
    });
  });
}

/** All `access-control-*` headers; names listed in a value in lower case where HTTP does not tell cases apart. */
function corsHeaders({ headers }: Reply): Record<string, unknown> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith("access-control-")));
}
