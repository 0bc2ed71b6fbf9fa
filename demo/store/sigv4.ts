import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { type RequestTarget, uriEncode } from "./request-target.ts";

/** All that goes into one AWS Signature Version 4. */
export interface SignedRequest {
  readonly method: string;
  readonly target: RequestTarget;
  readonly headers: IncomingHttpHeaders;
  /** Lower-case names, in the order the client listed them. */
  readonly signedHeaders: readonly string[];
  readonly payloadHash: string;
  /** `yyyymmddThhmmssZ` */
  readonly timestamp: string;
  readonly region: string;
}

export interface Signature {
  readonly canonicalRequest: string;
  readonly stringToSign: string;
  readonly signature: string;
}

export const ALGORITHM = "AWS4-HMAC-SHA256";

export function credentialScope(timestamp: string, region: string): string {
  return `${timestamp.slice(0, 8)}/${region}/s3/aws4_request`;
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
export function sign(request: SignedRequest, secretAccessKey: string): Signature {
  const canonicalRequest = [
    request.method,
    request.target.path.split("/").map(uriEncode).join("/"),
    canonicalQuery(request.target.parameters),
    ...request.signedHeaders.map((name) => `${name}:${canonicalValue(request.headers[name])}`),
    "",
    request.signedHeaders.join(";"),
    request.payloadHash,
  ].join("\n");
  const stringToSign = [
    ALGORITHM,
    request.timestamp,
    credentialScope(request.timestamp, request.region),
    // Node hands header bytes over as latin1; this gives back the very bytes that the client signed.
    createHash("sha256").update(canonicalRequest, "latin1").digest("hex"),
  ].join("\n");
  const date = hmac(`AWS4${secretAccessKey}`, request.timestamp.slice(0, 8));
  const key = hmac(hmac(hmac(date, request.region), "s3"), "aws4_request");
  return { canonicalRequest, stringToSign, signature: hmac(key, stringToSign).toString("hex") };
}

/** Compares in constant time; the length of a signature is no secret. */
export function equalSignatures(left: string, right: string): boolean {
  return (
    left.length === right.length && timingSafeEqual(Buffer.from(left, "latin1"), Buffer.from(right, "latin1"))
  );
}

/** Milliseconds since the epoch, or `undefined` if it is no `yyyymmddThhmmssZ`. */
export function parseTimestamp(timestamp: string): number | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(timestamp);
  if (match === null) return undefined;
  const time = Date.parse(`${match[1]}-${match[2]}-${match[3]}T${match[4]}:${match[5]}:${match[6]}Z`);
  return Number.isNaN(time) ? undefined : time;
}

function canonicalQuery(parameters: RequestTarget["parameters"]): string {
  return parameters
    .filter(([name]) => name !== "X-Amz-Signature")
    .map(([name, value]) => [uriEncode(name), uriEncode(value)] as const)
    .sort(([nameA, valueA], [nameB, valueB]) => compare(nameA, nameB) || compare(valueA, valueB))
    .map(([name, value]) => `${name}=${value}`)
    .join("&");
}

function canonicalValue(value: string | string[] | undefined): string {
  return [value ?? ""].flat().join(",").trim().replace(/ +/g, " ");
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
