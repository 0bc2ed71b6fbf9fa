import type { IncomingHttpHeaders } from "node:http";
import { S3Error } from "./errors.ts";
import { MAX_CLOCK_SKEW_MS, MAX_PRESIGNED_SECONDS } from "./limits.ts";
import type { RequestTarget } from "./request-target.ts";
import { ALGORITHM, credentialScope, equalSignatures, parseTimestamp, sign } from "./sigv4.ts";

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
}

/**
 * How the signature covers the body: not at all, by its SHA-256 in hex, or chunk by chunk in aws-chunked
 * framing.
 */
export type Payload = { kind: "unsigned" } | { kind: "sha256"; hex: string } | { kind: "chunked" };

interface Claim {
  readonly credential: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  readonly timestamp: string;
  readonly payloadHash: string;
}

interface Request {
  readonly method: string;
  readonly target: RequestTarget;
  readonly headers: IncomingHttpHeaders;
}

const QUERY_PARAMETERS = ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"];

/** Verifies the signature, in the Authorization header or in the query, or throws the S3Error that AWS would answer. */
export function authenticate(request: Request, credentials: Credentials, nowMs: number): Payload {
  const { headers, target } = request;
  const inQuery = target.query.has("X-Amz-Algorithm") || target.query.has("X-Amz-Signature");
  if (headers.authorization !== undefined && inQuery) {
    throw new S3Error("InvalidArgument", "Only one auth mechanism allowed");
  }
  if (headers.authorization !== undefined) {
    const claim = headerClaim(headers, headers.authorization);
    checkCredential(claim, credentials, "AuthorizationHeaderMalformed");
    checkSkew(claim.timestamp, nowMs);
    return checkSignature(request, claim, credentials);
  }
  if (inQuery) {
    const claim = queryClaim(target.query, headers);
    checkCredential(claim, credentials, "AuthorizationQueryParametersError");
    checkExpiry(claim.timestamp, target.query.get("X-Amz-Expires") ?? "", nowMs);
    return checkSignature(request, claim, credentials);
  }
  throw new S3Error("AccessDenied");
}

function headerClaim(headers: IncomingHttpHeaders, authorization: string): Claim {
  const [algorithm, ...rest] = authorization.split(" ");
  if (algorithm !== ALGORITHM) {
    throw new S3Error(
      "InvalidRequest",
      `The authorization mechanism you have provided is not supported. Please use ${ALGORITHM}.`,
    );
  }
  const fields = new Map(
    rest
      .join("")
      .split(",")
      .map((field) => [field.slice(0, field.indexOf("=")), field.slice(field.indexOf("=") + 1)] as const),
  );
  const [credential, signedHeaders, signature] = ["Credential", "SignedHeaders", "Signature"].map((name) =>
    fields.get(name),
  );
  if (!credential || !signedHeaders || !signature) throw new S3Error("AuthorizationHeaderMalformed");
  const timestamp = headers["x-amz-date"];
  if (typeof timestamp !== "string") {
    throw new S3Error("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header");
  }
  const payloadHash = headers["x-amz-content-sha256"];
  if (typeof payloadHash !== "string") {
    throw new S3Error("InvalidRequest", "Missing required header for this request: x-amz-content-sha256");
  }
  return { credential, signedHeaders: signedHeaders.split(";"), signature, timestamp, payloadHash };
}

function queryClaim(query: RequestTarget["query"], headers: IncomingHttpHeaders): Claim {
  const missing = QUERY_PARAMETERS.filter((name) => !query.get(`X-Amz-${name}`));
  if (missing.length > 0) {
    throw new S3Error(
      "AuthorizationQueryParametersError",
      "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
    );
  }
  const get = (name: string) => query.get(`X-Amz-${name}`) ?? "";
  if (get("Algorithm") !== ALGORITHM) {
    throw new S3Error("AuthorizationQueryParametersError", `X-Amz-Algorithm only supports "${ALGORITHM}"`);
  }
  return {
    credential: get("Credential"),
    signedHeaders: get("SignedHeaders").split(";"),
    signature: get("Signature"),
    timestamp: get("Date"),
    payloadHash: String(headers["x-amz-content-sha256"] ?? (get("Content-Sha256") || "UNSIGNED-PAYLOAD")),
  };
}

function checkCredential(
  claim: Claim,
  credentials: Credentials,
  malformed: "AuthorizationHeaderMalformed" | "AuthorizationQueryParametersError",
): void {
  const slash = claim.credential.indexOf("/");
  const accessKeyId = claim.credential.slice(0, slash);
  if (slash === -1)
    throw new S3Error(malformed, "The Credential is mal-formed; expecting an access key and a scope.");
  if (accessKeyId !== credentials.accessKeyId) {
    throw new S3Error("InvalidAccessKeyId", undefined, { AWSAccessKeyId: accessKeyId });
  }
  const expected = credentialScope(claim.timestamp, credentials.region);
  if (claim.credential.slice(slash + 1) !== expected) {
    throw new S3Error(malformed, `The Credential's scope is wrong; expecting '${expected}'.`, {
      Region: credentials.region,
    });
  }
}

function checkSkew(timestamp: string, nowMs: number): void {
  const time = parseTimestamp(timestamp);
  if (time === undefined) {
    throw new S3Error("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header");
  }
  if (Math.abs(time - nowMs) > MAX_CLOCK_SKEW_MS) {
    throw new S3Error("RequestTimeTooSkewed", undefined, {
      RequestTime: timestamp,
      ServerTime: new Date(nowMs).toISOString(),
      MaxAllowedSkewMilliseconds: MAX_CLOCK_SKEW_MS,
    });
  }
}

function checkExpiry(timestamp: string, expires: string, nowMs: number): void {
  const time = parseTimestamp(timestamp);
  const problem =
    time === undefined
      ? "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
      : !/^-?\d+$/.test(expires)
        ? "X-Amz-Expires should be a number"
        : Number(expires) < 0
          ? "X-Amz-Expires must be non-negative"
          : Number(expires) > MAX_PRESIGNED_SECONDS
            ? `X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than ${MAX_PRESIGNED_SECONDS} seconds`
            : undefined;
  if (time === undefined || problem !== undefined)
    throw new S3Error("AuthorizationQueryParametersError", problem);
  if (time - nowMs > MAX_CLOCK_SKEW_MS) throw new S3Error("AccessDenied", "Request is not yet valid");
  const expiresAt = time + Number(expires) * 1000;
  if (nowMs > expiresAt) {
    throw new S3Error("AccessDenied", "Request has expired", {
      "X-Amz-Expires": expires,
      Expires: new Date(expiresAt).toISOString(),
      ServerTime: new Date(nowMs).toISOString(),
    });
  }
}

function checkSignature(request: Request, claim: Claim, credentials: Credentials): Payload {
  const { headers, target, method } = request;
  const unsigned = Object.keys(headers).filter(
    (name) => name.startsWith("x-amz-") && !claim.signedHeaders.includes(name),
  );
  if (unsigned.length > 0 || !claim.signedHeaders.includes("host")) {
    throw new S3Error("AccessDenied", "There were headers present in the request which were not signed", {
      HeadersNotSigned: unsigned.join(", ") || "host",
    });
  }
  if (headers["x-amz-security-token"] !== undefined || target.query.has("X-Amz-Security-Token")) {
    throw new S3Error("InvalidToken");
  }
  const { signature, stringToSign, canonicalRequest } = sign(
    { ...claim, method, target, headers, region: credentials.region },
    credentials.secretAccessKey,
  );
  if (!equalSignatures(signature, claim.signature)) {
    throw new S3Error("SignatureDoesNotMatch", undefined, {
      AWSAccessKeyId: credentials.accessKeyId,
      StringToSign: stringToSign,
      SignatureProvided: claim.signature,
      CanonicalRequest: canonicalRequest,
    });
  }
  return payloadOf(claim.payloadHash);
}

function payloadOf(hash: string): Payload {
  if (hash === "UNSIGNED-PAYLOAD") return { kind: "unsigned" };
  if (hash === "STREAMING-UNSIGNED-PAYLOAD-TRAILER") return { kind: "chunked" };
  if (/^[\da-f]{64}$/.test(hash)) return { kind: "sha256", hex: hash };
  if (hash.startsWith("STREAMING-")) {
    throw new S3Error("NotImplemented", `x-amz-content-sha256: ${hash} is not implemented`);
  }
  throw new S3Error(
    "InvalidArgument",
    "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, or a valid sha256 value.",
  );
}
