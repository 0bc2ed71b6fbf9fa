import type { S3Client } from "@aws-sdk/client-s3";
import * as v from "valibot";
import type { UploadClaims } from "../s3/claims.ts";
import { isActiveType, matchesMediaType, toMediaType } from "../s3/media-type.ts";
import { type ObjectSettings, objectSettings } from "../s3/object-settings.ts";
import { toStorageFault } from "../s3/s3-faults.ts";
import { createS3Uploads } from "../s3/s3-uploads.ts";
import { createSigner } from "../s3/signer.ts";
import { UploadError } from "../src/core/errors.ts";
import {
  abortRequest,
  beginRequest,
  completeRequest,
  type Operation,
  partsRequest,
  signRequest,
} from "../src/core/http-api.ts";
import { S3_LIMITS, type StorageLimits } from "../src/core/limits.ts";
import { checkObjectKey } from "../src/core/object-key.ts";
import { checkSize, planParts } from "../src/core/part-plan.ts";
import { type BeginAnswer, type BeginIntent, StorageFault } from "../src/core/storage.ts";
import { answer, answerBrokenRange, answerFault, answerRefused } from "./answers.ts";
import { type Authorize, permit } from "./authorize.ts";
import { createBeginCounter } from "./begin-counter.ts";
import { boundedClient, STORAGE_TIMEOUT_SECONDS } from "./bounded-client.ts";
import { createBodyReader } from "./read-body.ts";
import { operationOf, readRelayHead, requireOrigin } from "./read-request.ts";
import { RequestRefused } from "./refused.ts";
import { createRelay, RangeBroken } from "./relay.ts";
import { checkRules, requireRules, type UploadRules } from "./rules.ts";
import { createTokenSeal } from "./token.ts";

export interface UploadHandlerOptions {
  /**
   * The app's own client, with region, credentials and, for other engines than Amazon's, endpoint. Its credentials need
   * `s3:PutObject`, `s3:GetObject`, `s3:AbortMultipartUpload` and `s3:ListMultipartUploadParts` on the objects, and
   * `s3:ListBucket` (without it S3 says 403 for an object that is not there) and `s3:ListBucketMultipartUploads` on the bucket;
   * with SSE-KMS also `kms:GenerateDataKey` and `kms:Decrypt` on the bucket's key. Proxies and certificates belong into an `https.Agent` of yours; for large bodies the SDK makes another one if it was given the agent's
   * options only.
   */
  readonly client: S3Client;
  /**
   * Signs the URLs that browsers get, with credentials that may do nothing but `s3:PutObject`. What a signed URL allows is
   * what the credentials allow that signed it: some engines (Ceph 16, for one) take `x-amz-copy-source` from whoever holds a
   * URL, and copy any object into the upload that these credentials may read. Where they are another user's than the
   * bucket's, its objects need the ACL "bucket-owner-full-control" (`object.acl`), or `client` can't see them.
   * @default `client`
   */
  readonly signingClient?: S3Client;
  readonly bucket: string;
  /**
   * Signs the tokens: at least 32 random bytes, the same on all servers. Several for a change of secret: the first signs,
   * all verify.
   */
  readonly secret: string | readonly string[];
  readonly authorize: Authorize;
  /**
   * Sets the tokens of this handler apart from those of another one with the same secret and bucket, which asks another
   * `authorize`.
   * @default ""
   */
  readonly audience?: string;
  /**
   * The path where the handler is mounted, such as "/uploads", as the request's URL has it. Requests to others are answered
   * 404.
   * @default any: only the last segment of the path is looked at
   */
  readonly basePath?: string;
  /**
   * Origins whose pages may use the handler, such as "https://app.example", for apps that know their users by a cookie. What
   * a browser sends for any other page is refused with 403, by `Origin` and `Sec-Fetch-Site`. Pages of other origins are
   * kept out as it is, unless the app's CORS headers let them in: requests have a type and a header that need CORS.
   * @default not looked at
   */
  readonly origins?: readonly string[];
  /** What the app takes. @default all that `authorize` and the storage take */
  readonly rules?: UploadRules;
  /** What each object gets besides its type; `authorize` may say otherwise. @default nothing */
  readonly object?: ObjectSettings;
  /** What the S3 engine takes. @default Amazon S3's */
  readonly limits?: Partial<StorageLimits>;
  /**
   * How long a signed URL may be used, in seconds, 1 to 604,800; never longer than its upload's token. Nothing takes it back:
   * not a sign-out, and not the end of the upload (but see `object.ifNoneMatch`).
   * @default 3600
   */
  readonly signedUrlSeconds?: number;
  /**
   * How long an upload may take, pauses included, in seconds, 1 to 31,622,400. Holds for tokens that are out already, too. The bucket's lifecycle rule must leave unfinished uploads
   * alone for as long.
   * @default 604800 (7 days)
   */
  readonly tokenSeconds?: number;
  /**
   * How long a relayed request may stand still, in whole seconds, before the end that holds it up is given up: a client that
   * sends nothing, or a part of which S3 takes nothing. 1 to 3,600.
   * @default 60
   */
  readonly relayIdleSeconds?: number;
  /**
   * The rate that a relayed request has to keep up, in bytes a second: an end that was slower, for `relayIdleSeconds` on the
   * whole, is given up like one that stands still. 1 to 1,048,576.
   * @default 4096
   */
  readonly relayBytesPerSecond?: number;
  /**
   * How long S3 may take to answer a call, with all retries of the SDK, in seconds; eight times as long to complete an upload,
   * since S3 may take minutes to put 10,000 parts together. 1 to 900.
   * @default 30
   */
  readonly storageTimeoutSeconds?: number;
  /** URL by which browsers reach S3, if the server does so by another (a container's name, a private endpoint). */
  readonly publicEndpoint?: string;
  /** Told of everything that was refused or failed, with its cause. Neither argument has tokens or signed URLs in it. */
  readonly onError?: (error: Error, context: UploadErrorContext) => void;
}

export interface UploadErrorContext {
  /** Null for a request that is none of ours. */
  readonly operation: Operation | null;
  /** Null where it was not known yet. Until `authorize` has named it, it is the client's own words, line ends and all. */
  readonly key: string | null;
  readonly owner: string | null;
  /** HTTP status of the answer; null for a warning, after which the request went on. */
  readonly status: number | null;
}

/** Never rejects. The request's body is consumed, or canceled. */
export type UploadHandler = (request: Request) => Promise<Response>;

const DEFAULTS = {
  signedUrlSeconds: 3_600,
  tokenSeconds: 7 * 24 * 3_600,
  relayIdleSeconds: 60,
  relayBytesPerSecond: 4_096,
  relaysAtOnce: 16,
} as const;
// Signature Version 4 allows no more.
const MAX_SIGNED_URL_SECONDS = 7 * 24 * 3_600;
const MAX_TOKEN_SECONDS = 366 * 24 * 3_600;
const MAX_STORAGE_TIMEOUT_SECONDS = 900;
const MAX_RELAY_IDLE_SECONDS = 3_600;
const MAX_RELAY_BYTES_PER_SECOND = 1_048_576;

/**
 * The app server's part in uploads: `POST {anything}/begin`, `/sign`, `/parts`, `/complete` and `/abort`, JSON in and out
 * (`src/core/http-api.ts`). The bytes go from the browser to S3. It keeps no state, so any number of servers may share the work.
 *
 * Where the browser itself is to carry an upload on, with all tabs closed, the bytes come here: `PUT {anything}/relay`,
 * hundreds of megabytes in one request, which are passed on to S3 as they come. Whatever stands in front of the handler
 * must let them: no body parser, no limit on the body's size or the request's duration (`http.Server` has one of
 * 5 minutes: set its `requestTimeout` to 0). `relayIdleSeconds` is what ends a request that stands still.
 *
 * @throws {TypeError} if an option makes no sense
 */
export function createUploadHandler(options: UploadHandlerOptions): UploadHandler {
  requireBasics(options);
  const { client, signingClient, bucket, authorize, publicEndpoint, onError, audience = "" } = options;
  const { origins } = options;
  const basePath = options.basePath?.replace(/\/$/, "");
  const { signedUrlSeconds = DEFAULTS.signedUrlSeconds, tokenSeconds = DEFAULTS.tokenSeconds } = options;
  requireSeconds("signedUrlSeconds", signedUrlSeconds, MAX_SIGNED_URL_SECONDS);
  requireSeconds("tokenSeconds", tokenSeconds, MAX_TOKEN_SECONDS);
  const { relayIdleSeconds = DEFAULTS.relayIdleSeconds } = options;
  requireSeconds("relayIdleSeconds", relayIdleSeconds, MAX_RELAY_IDLE_SECONDS);
  const { relayBytesPerSecond = DEFAULTS.relayBytesPerSecond } = options;
  requireWhole("relayBytesPerSecond", relayBytesPerSecond, MAX_RELAY_BYTES_PER_SECOND, "whole bytes");
  const { storageTimeoutSeconds = STORAGE_TIMEOUT_SECONDS } = options;
  requireSeconds("storageTimeoutSeconds", storageTimeoutSeconds, MAX_STORAGE_TIMEOUT_SECONDS);
  const { rules = {} } = options;
  requireRules(rules);
  if (options.object !== undefined && !v.is(objectSettings, options.object))
    throw new TypeError("object has a setting that is not known, or a value that can't be signed");
  const countBegin =
    rules.beginsPerMinute === undefined ? undefined : createBeginCounter(rules.beginsPerMinute);
  const limits: StorageLimits = { ...S3_LIMITS, ...options.limits };
  const tokens = createTokenSeal(options.secret);
  const bodies = createBodyReader({ checkToken: openToken });
  const signer = createSigner({ client, signingClient, bucket, signedUrlSeconds, publicEndpoint });
  const s3For = ({ signal }: Request) =>
    createS3Uploads(
      { client: boundedClient(client, { timeoutSeconds: storageTimeoutSeconds, signal }), bucket },
      signer,
    );
  const relay = createRelay({
    client,
    bucket,
    idleSeconds: relayIdleSeconds,
    bytesPerSecond: relayBytesPerSecond,
    mostPerOwner: rules.relaysAtOnce ?? DEFAULTS.relaysAtOnce,
  });

  return async (request) => {
    const trail: Trail = { operation: null, key: null, owner: null };
    try {
      trail.operation = operationOf(request, basePath);
      if (origins !== undefined) requireOrigin(request, origins);
      return answer(await perform(trail.operation, request, trail));
    } catch (error) {
      if (error instanceof RequestRefused) {
        report(error, { ...trail, status: error.status });
        return answerRefused(error);
      }
      if (error instanceof RangeBroken) {
        const response = answerBrokenRange(error);
        report(error.fault, { ...trail, status: response.status });
        return response;
      }
      const fault = toStorageFault(error);
      const response = answerFault(fault);
      report(fault, { ...trail, status: response.status });
      return response;
    }
  };

  async function perform(operation: Operation, request: Request, trail: Trail): Promise<object> {
    const claimsOf = (token: string, next: Exclude<Operation, "begin">) => check(token, next, request, trail);
    const s3 = s3For(request);
    switch (operation) {
      case "begin":
        return begin(await bodies.read(request, beginRequest), request, trail);
      case "sign": {
        const { token, parts } = await bodies.read(request, signRequest);
        return { parts: await s3.sign(await claimsOf(token, operation), parts) };
      }
      case "parts": {
        const { token, after } = await bodies.read(request, partsRequest);
        return s3.parts(await claimsOf(token, operation), after);
      }
      case "complete": {
        const { token, parts } = await bodies.read(request, completeRequest);
        return s3.complete(await claimsOf(token, operation), parts);
      }
      case "abort": {
        const { token } = await bodies.read(request, abortRequest);
        await s3.abort(await claimsOf(token, operation));
        return {};
      }
      case "relay": {
        const head = readRelayHead(request);
        const claims = await claimsOf(head.token, operation);
        const parts = await relay.store(claims, head, {
          request,
          // The user may have signed out since, or the token may have expired.
          mayGoOn: async () => void (await claimsOf(head.token, operation)),
          onPassedOver: (fault) => report(fault, { ...trail, status: null }),
        });
        return { parts };
      }
      default:
        return operation satisfies never;
    }
  }

  async function begin(intent: BeginIntent, request: Request, trail: Trail): Promise<BeginAnswer> {
    const { uploadId, size, name, method, partSize, checksum, triedForMs } = intent;
    trail.key = intent.key;
    checkObjectKey(intent.key, limits);
    const type = toMediaType(intent.type);
    if (type === null) throw new RequestRefused(400, "type should be a MIME type");
    const {
      key,
      owner = null,
      object: settings,
    } = await permit(authorize, request, {
      operation: "begin",
      key: intent.key,
      size,
      type,
      name,
    });
    trail.key = key;
    trail.owner = owner;
    checkObjectKey(key, limits);
    checkRules(rules, { key, size, type });
    checkCut(intent, limits);
    countBegin?.(owner, performance.now());

    const object = objectFor(type, { ...options.object, ...settings });
    const issuedAt = Date.now();
    const expiresAt = issuedAt + tokenSeconds * 1_000;
    const claims = {
      bucket,
      key,
      uploadId,
      size,
      type,
      checksum,
      object,
      owner,
      expiresAt,
      issuedAt,
      audience,
    };
    if (method === "single") return { key, token: await tokens.seal({ ...claims, method }) };

    const s3 = s3For(request);
    const onLeftOpen = (error: StorageFault) => report(error, { ...trail, status: null });
    const s3UploadId = await s3.open({ key, uploadId, type, checksum, object, triedForMs }, onLeftOpen);
    const opened = { ...claims, method, partSize, s3UploadId };
    // Nobody will ever know of this upload: the client has gone, and its next try opens another one.
    if (request.signal.aborted) {
      await s3.abort(opened);
      throw new StorageFault("network", "NETWORK", { detail: "the client has gone" });
    }
    return { key, token: await tokens.seal(opened) };
  }

  /** Files that browsers would run are for downloading, unless the app has said that it wants to show them. */
  function objectFor(type: string, settings: ObjectSettings): ObjectSettings {
    const isWanted = rules.types?.some((pattern) => matchesMediaType(type, pattern)) ?? false;
    if (!isActiveType(type) || isWanted) return settings;
    return { contentDisposition: "attachment", ...settings };
  }

  /**
   * The token's claims, whose end is no later than this server's own setting allows.
   *
   * @throws {StorageFault} permanent: `TOKEN_INVALID`, `TOKEN_EXPIRED`
   */
  async function openToken(token: string): Promise<UploadClaims> {
    const now = Date.now();
    const claims = await tokens.open(token, now);
    if (claims.bucket !== bucket || (claims.audience ?? "") !== audience)
      throw new StorageFault("permanent", "TOKEN_INVALID");
    const expiresAt = Math.min(claims.expiresAt, (claims.issuedAt ?? 0) + tokenSeconds * 1_000);
    if (now >= expiresAt) throw new StorageFault("permanent", "TOKEN_EXPIRED");
    return { ...claims, expiresAt };
  }

  async function check(
    token: string,
    operation: Exclude<Operation, "begin">,
    request: Request,
    trail: Trail,
  ): Promise<UploadClaims> {
    const claims = await openToken(token);
    const { key, size, owner } = claims;
    trail.key = key;
    trail.owner = owner;
    await permit(authorize, request, { operation, key, size, ...(owner !== null && { owner }) });
    return claims;
  }

  function report(error: Error, context: UploadErrorContext): void {
    try {
      onError?.(error, context);
    } catch {
      // The app's logging has failed; the client's answer doesn't depend on it.
    }
  }
}

/** What is known of a request so far, for `onError`. */
interface Trail {
  operation: Operation | null;
  key: string | null;
  owner: string | null;
}

/** @throws {UploadError} `FILE_TOO_LARGE`, `PART_SIZE_INVALID` */
function checkCut({ method, size, partSize }: BeginIntent, limits: StorageLimits): void {
  if (method === "multipart") {
    planParts(size, partSize, limits);
    return;
  }
  checkSize(size, limits);
  if (size > limits.maxPartBytes)
    throw new UploadError(
      "FILE_TOO_LARGE",
      `${size} bytes in one PUT, while ${limits.maxPartBytes} are allowed`,
    );
  if (partSize !== size)
    throw new UploadError("PART_SIZE_INVALID", `${partSize} bytes in one PUT of ${size}`);
}

/** In JavaScript, options may be anything: an environment variable that is not set, above all. */
function requireBasics(options: UploadHandlerOptions): void {
  const { client, signingClient, bucket, authorize, publicEndpoint, basePath, origins } = options;
  if (typeof client?.send !== "function") throw new TypeError("client is no S3Client");
  if (signingClient !== undefined && typeof signingClient?.send !== "function")
    throw new TypeError("signingClient is no S3Client");
  if (typeof bucket !== "string") throw new TypeError(`bucket is ${bucket}: expected a string`);
  if (bucket === "") throw new TypeError("bucket is empty");
  if (typeof authorize !== "function") throw new TypeError("authorize is no function");
  if (publicEndpoint !== undefined && !(URL.canParse(publicEndpoint) && /^https?:/i.test(publicEndpoint)))
    throw new TypeError("publicEndpoint is not an http or https URL");
  if (basePath !== undefined && !basePath.startsWith("/"))
    throw new TypeError(`basePath is ${JSON.stringify(basePath)}: expected a path such as "/uploads"`);
  for (const origin of origins ?? [])
    if (!URL.canParse(origin) || new URL(origin).origin !== origin)
      throw new TypeError(`origins has ${JSON.stringify(origin)}: expected such as "https://app.example"`);
}

function requireSeconds(name: string, value: number, max: number): void {
  requireWhole(name, value, max, "whole seconds");
}

function requireWhole(name: string, value: number, max: number, unit: string): void {
  if (!Number.isSafeInteger(value) || value < 1 || value > max)
    throw new TypeError(`${name} is ${value}: expected ${unit} from 1 to ${max}`);
}
