import { PutObjectCommand } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { describe, expect, it } from "vitest";
import { parseTarget } from "../../demo/store/request-target.ts";
import { equalSignatures, sign } from "../../demo/store/sigv4.ts";
import { send, verdict, verdictOf } from "./reply.ts";
import { BUCKET, TemporaryStore } from "./temporary-store.ts";

const put = new PutObjectCommand({ Bucket: BUCKET, Key: "key", Body: "x" });
const MINUTE_MS = 60_000;

describe("the examples of AWS's documentation", () => {
  const EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  const SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
  const request = {
    method: "GET",
    timestamp: "20130524T000000Z",
    region: "us-east-1",
    payloadHash: EMPTY,
    target: parseTarget("/test.txt"),
    headers: {
      host: "examplebucket.s3.amazonaws.com",
      range: "bytes=0-9",
      "x-amz-content-sha256": EMPTY,
      "x-amz-date": "20130524T000000Z",
    },
    signedHeaders: ["host", "range", "x-amz-content-sha256", "x-amz-date"],
  };

  // https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
  it("sign a GET by header", () => {
    expect(sign(request, SECRET).signature).toBe(
      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    );
  });

  // https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
  it("sign a GET by query", () => {
    const target = parseTarget(
      "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=ignored",
    );
    const signed = sign(
      { ...request, target, signedHeaders: ["host"], payloadHash: "UNSIGNED-PAYLOAD" },
      SECRET,
    );
    expect(signed.signature).toBe("aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
  });
});

it("signatures are equal only as a whole", () => {
  expect(equalSignatures("abc", "abc")).toBe(true);
  expect(equalSignatures("abc", "abd")).toBe(false);
  expect(equalSignatures("abc", "abcd")).toBe(false);
});

it("a presigned URL lives to its last second", async () => {
  let now = Date.now();
  const subject = await TemporaryStore.start({ now: () => now });
  const signingDate = new Date(Math.floor(now / 1000) * 1000);
  const url = await getSignedUrl(subject.s3, put, { signingDate, expiresIn: 90 });
  const at = async (timeMs: number) => {
    now = timeMs;
    return verdict(await send(url, { method: "PUT", body: "x" }));
  };
  expect(await at(signingDate.getTime() + 90_000)).toBe("200");
  expect(await at(signingDate.getTime() + 90_001)).toBe("403 AccessDenied");
  expect(await at(signingDate.getTime() - 14 * MINUTE_MS)).toBe("200");
  expect(await at(signingDate.getTime() - 16 * MINUTE_MS)).toBe("403 AccessDenied");
});

it("a presigned URL may live for a week", async () => {
  let now = Date.now();
  const subject = await TemporaryStore.start({ now: () => now });
  const url = await getSignedUrl(subject.s3, put, { expiresIn: 7 * 24 * 60 * 60 });
  now += 7 * 24 * 60 * MINUTE_MS - MINUTE_MS;
  expect(verdict(await send(url, { method: "PUT", body: "x" }))).toBe("200");
});

it.each([
  [14, "200"],
  [16, "403 RequestTimeTooSkewed"],
])("the store's clock decides about skew: %d minutes", async (minutes, answer) => {
  const subject = await TemporaryStore.start({ now: () => Date.now() + minutes * MINUTE_MS });
  expect(await verdictOf(subject.s3.send(put))).toBe(answer);
});

it("another region's signature is refused", async () => {
  const subject = await TemporaryStore.start({ region: "eu-central-1" });
  expect(await verdictOf(subject.s3.send(put))).toBe("200");
  const url = (await getSignedUrl(subject.s3, put)).replace("eu-central-1", "us-east-1");
  expect(verdict(await send(url, { method: "PUT", body: "x" }))).toBe(
    "400 AuthorizationQueryParametersError",
  );
});
