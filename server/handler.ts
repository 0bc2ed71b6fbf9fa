import * as v from "valibot";
import type { UploadClaims } from "../s3/claims.ts";
import { isActiveType, matchesMediaType, toMediaType } from "../s3/media-type.ts";
import { type ObjectSettings, objectMetadata } from "../s3/object-settings.ts";
import { toStorageFault } from "../s3/s3-faults.ts";
import { createS3Uploads } from "../s3/s3-uploads.ts";
import { createSigner, type Presign } from "../s3/signer.ts";
import { isSigned } from "../src/core/checksum.ts";
import { UploadError, type UploadErrorCode } from "../src/core/errors.ts";
import {
  abortRequest,
  beginManyRequest,
  beginRequest,
  completeRequest,
  type Operation,
  partsRequest,
  releaseRequest,
  signRequest,
} from "../src/core/http-api.ts";
import type { StorageLimits } from "../src/core/limits.ts";
import { checkObjectKey } from "../src/core/object-key.ts";
import { checkSize, countParts, planParts } from "../src/core/part-plan.ts";
import {
  type BeginAnswer,
  type BeginIntent,
  MAX_SIGNED_AT_BEGIN,
  StorageFault,
  type StoredObject,
} from "../src/core/storage.ts";
import { answer, answerBrokenRange, answerFault, answerRange, answerRefused } from "./answers.ts";
import { permit } from "./authorize.ts";
import { createBeginCounter, tooManyBegins } from "./begin-counter.ts";
import { beginMany } from "./begin-many.ts";
import { boundedClient } from "./bounded-client.ts";
import { settingsOf, type UploadErrorContext, type UploadHandlerOptions } from "./handler-options.ts";
import { callHook, completedUpload, hookedUpload } from "./hooks.ts";
import { readProbe, readProbeHead } from "./probe.ts";
import { clientGone } from "./range-body.ts";
import { createBodyReader } from "./read-body.ts";
import { operationOf, readRelayHead, requireOrigin } from "./read-request.ts";
import { RequestRefused } from "./refused.ts";
import { createRelay, RangeBroken } from "./relay.ts";
import type { RangeEnding } from "./relay-endings.ts";
import { checkRules, RELAYS_AT_ONCE } from "./rules.ts";
import { requireSdkVersion } from "./sdk-version.ts";
import { createTokenSeal } from "./token.ts";
import { isUnattended } from "./unattended.ts";

// As in the API's schemas (`http-api.ts`).
const MAX_TOKEN_LENGTH = 8_192;

/** Answers one request of the API. It never rejects, and consumes or cancels the request's body. */
export type UploadHandler = (request: Request) => Promise<Response>;

/**
 * Creates the app server's part in uploads: `POST {anything}/begin`, `/sign`, `/parts`, `/complete` and
 * `/abort`, with JSON in and out (`src/core/http-api.ts`). The bytes go from the browser to S3. The handler
 * keeps no state in memory but counts, so several servers may share the work.
 *
 * The bytes of uploads that were handed over to the browser (Background Fetch) pass through this server:
 * `PUT {anything}/relay`, hundreds of megabytes in one request, which are sent on to S3 as they arrive. Proxies
 * and middleware in front of the handler must let such requests through: no body parser, no limit on the body's
 * size or the request's duration (`http.Server` has one of 5 minutes: give it the `relayServerOptions`). Requests
 * that stand still are ended after `relayIdleSeconds`.
 *
 * @throws {TypeError} if an option has an invalid value
 */
export function createUploadHandler(options: UploadHandlerOptions): UploadHandler {
  return createHandler(options);
}

/** @param presign signs in place of the AWS SDK, for simulations, where its signatures would take most of the time */
export function createHandler(options: UploadHandlerOptions, presign?: Presign): UploadHandler {
  const settings = settingsOf(options);
  const { client, signingClient, bucket, authorize, publicEndpoint, audience, origins } = settings;
  const { rules, limits, tokenSeconds, signedUrlSeconds, storageTimeoutSeconds } = settings;
  const basePath = settings.basePath?.replace(/\/$/, "");
  const countBegin =
    rules.beginsPerMinute === undefined ? undefined : createBeginCounter(rules.beginsPerMinute);
  const tokens = createTokenSeal(settings.secret);
  const bodies = createBodyReader({ checkToken: openToken });
  const signer = createSigner({ client, signingClient, bucket, signedUrlSeconds, publicEndpoint }, presign);
  const s3For = ({ signal }: Request) =>
    createS3Uploads(
      { client: boundedClient(client, { timeoutSeconds: storageTimeoutSeconds, signal }), bucket },
      signer,
    );
  const relay = createRelay({
    client,
    bucket,
    idleSeconds: settings.relayIdleSeconds,
    bytesPerSecond: settings.relayBytesPerSecond,
    mostPerOwner: rules.relaysAtOnce ?? RELAYS_AT_ONCE,
    counts: settings.counts,
    holdSeconds: settings.relayHoldSeconds,
  });

  let isSdkKnown = false;
  const sdk = requireSdkVersion(client).then(() => {
    isSdkKnown = true;
  });
  sdk.catch((error) =>
    report(toStorageFault(error), { operation: null, key: null, owner: null, status: null }),
  );

  return async (request) => {
    const trail: Trail = { operation: null, key: null, owner: null };
    const { response, code } = await respond(request, trail);
    // Of uploads that were begun together, each has its own record.
    if (trail.operation !== "begin-many" || code !== null) record(request, trail, response.status, code);
    return response;
  };

  async function respond(request: Request, trail: Trail): Promise<Answered> {
    try {
      trail.operation = operationOf(request, basePath);
      if (origins !== undefined) requireOrigin(request, origins);
      if (!isSdkKnown) await sdk;
      if (trail.operation === "relay") return await relayRange(request, trail);
      return { response: answer(await perform(trail.operation, request, trail)), code: null };
    } catch (error) {
      if (error instanceof RequestRefused) {
        report(error, { ...trail, status: error.status });
        return { response: answerRefused(error), code: "REQUEST_INVALID" };
      }
      const fault = error instanceof RangeBroken ? error.fault : toStorageFault(error);
      const response = error instanceof RangeBroken ? answerBrokenRange(error) : answerFault(fault);
      report(fault, { ...trail, status: response.status });
      return { response, code: fault.code };
    }
  }

  async function perform(
    operation: Exclude<Operation, "relay">,
    request: Request,
    trail: Trail,
  ): Promise<object> {
    const claimsOf = (token: string, next: LaterOperation, byToken = false) =>
      check(token, next, request, trail, byToken);
    const s3 = s3For(request);
    switch (operation) {
      case "begin":
        return begin(await bodies.read(request, beginRequest), request, trail);
      case "begin-many":
        return beginEach((await bodies.read(request, beginManyRequest)).uploads, request);
      case "sign": {
        const { token, parts, unattended } = await bodies.read(request, signRequest);
        return { parts: await s3.sign(await claimsOf(token, operation, unattended), parts) };
      }
      case "parts": {
        const { token, after, unattended } = await bodies.read(request, partsRequest);
        return s3.parts(await claimsOf(token, operation, unattended), after);
      }
      case "complete": {
        const body = await bodies.read(request, completeRequest, true);
        const claims = await claimsOf(body.token, operation, body.unattended);
        const verified = await ("parts" in body
          ? s3.completeVerified(claims, body.parts)
          : s3.completeListed(claims, body.listed));
        await callHook("onComplete", () => settings.onComplete?.(completedUpload(claims, verified), request));
        const { key, size, etag, location } = verified;
        return { key, size, etag, location } satisfies StoredObject;
      }
      case "abort": {
        const { token } = await bodies.read(request, abortRequest);
        const claims = await claimsOf(token, operation);
        await s3.abort(claims);
        // An upload that is complete can't be dropped any more.
        if (settings.onAbort !== undefined && !(await s3.isStored(claims)))
          await callHook("onAbort", () => settings.onAbort?.(hookedUpload(claims), request));
        return {};
      }
      case "release": {
        const { tokens, fetches, ending } = await bodies.read(request, releaseRequest);
        await release(tokens, fetches, ending);
        return {};
      }
      case "probe": {
        const { token, bytes } = readProbeHead(request);
        await claimsOf(token, "relay");
        const { relayIdleSeconds: idleSeconds, relayBytesPerSecond: bytesPerSecond } = settings;
        return readProbe(request, bytes, { idleSeconds, bytesPerSecond });
      }
      default:
        return operation satisfies never;
    }
  }

  function beginEach(intents: readonly BeginIntent[], request: Request) {
    const trails = intents.map((): Trail => ({ operation: "begin", key: null, owner: null }));
    const trailOf = (index: number) => trails[index] as Trail;
    return beginMany(
      intents,
      async (intent, index) => {
        const begun = await begin(intent, request, trailOf(index), 1);
        record(request, trailOf(index), 200, null);
        return begun;
      },
      (error, status, index) => {
        report(error, { ...trailOf(index), status });
        const code = error instanceof StorageFault ? error.code : "REQUEST_INVALID";
        record(request, trailOf(index), status, code);
      },
    );
  }

  async function relayRange(request: Request, trail: Trail): Promise<Answered> {
    const head = readRelayHead(request);
    const result = await relay.store(head, {
      request,
      permit: () => check(head.token, "relay", request, trail, false),
      onPassedOver: (fault) => report(fault, { ...trail, status: null }),
    });
    const response = answerRange(result);
    if (result.fault !== null) report(result.fault, { ...trail, status: response.status });
    return { response, code: result.fault?.code ?? null };
  }

  /**
   * Ends what is relayed of these uploads. Nobody is asked: it moves nothing, and is wanted most when the user has
   * signed out.
   *
   * @throws {StorageFault} if none of the tokens is valid
   */
  async function release(
    sealed: readonly string[],
    fetches: readonly string[],
    ending: RangeEnding,
  ): Promise<void> {
    const opened = await Promise.allSettled(sealed.map(openToken));
    const claims = opened.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    const [first] = opened;
    if (claims.length === 0 && first?.status === "rejected") throw first.reason;
    await Promise.all(claims.map(({ uploadId }) => relay.end(uploadId, fetches, ending)));
  }

  /** @param mostSigned the most parts that are presigned along with it */
  async function begin(
    intent: BeginIntent,
    request: Request,
    trail: Trail,
    mostSigned = MAX_SIGNED_AT_BEGIN,
  ): Promise<BeginAnswer> {
    const { uploadId, size, name, method, partSize, checksum, triedForMs, metadata = {} } = intent;
    trail.key = intent.key;
    // `authorize` may put something in front of a key that begins with "/".
    checkObjectKey(intent.key.replace(/^\/+/, ""), limits);
    const type = toMediaType(intent.type);
    if (type === null) throw new RequestRefused(400, "type must be a MIME type");
    if (!v.is(objectMetadata, metadata))
      throw new RequestRefused(
        400,
        "metadata must be ASCII names and values, at most 2,048 bytes altogether",
      );
    const {
      key,
      owner = null,
      object: wanted,
      unattended = true,
    } = await permit(authorize, request, {
      operation: "begin",
      key: intent.key,
      size,
      type,
      name,
      ...(intent.metadata !== undefined && { metadata }),
    });
    trail.key = key;
    trail.owner = owner;
    checkObjectKey(key, limits);
    checkRules(rules, { key, size, type });
    checkCut(intent, limits);
    if (settings.counts === undefined) countBegin?.(owner, performance.now());
    else await countOne(owner);

    const object = objectFor(type, { metadata, ...settings.object, ...wanted });
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
      unattended,
      audience,
      id: crypto.randomUUID(),
    };
    const s3 = s3For(request);
    // Signatures of the other kinds need the bytes' checksums.
    const count = isSigned(checksum) ? 0 : Math.min(countParts(size, partSize), mostSigned);
    const firstParts = Array.from({ length: count }, (_, index) => ({
      partNumber: index + 1,
      checksum: null,
    }));
    if (method === "single") {
      const token = await sealed({ ...claims, method });
      const signed = await s3.sign({ ...claims, method }, firstParts);
      await callHook("onBegin", () => settings.onBegin?.(hookedUpload({ ...claims, method }), request));
      return { key, token, signed };
    }

    const onLeftOpen = (error: StorageFault) => report(error, { ...trail, status: null });
    const s3UploadId = await s3.open({ key, uploadId, type, checksum, object, triedForMs }, onLeftOpen);
    const opened = { ...claims, method, partSize, s3UploadId };
    try {
      const token = await sealed(opened);
      const signed = await s3.sign(opened, firstParts);
      if (request.signal.aborted) throw clientGone();
      await callHook("onBegin", () => settings.onBegin?.(hookedUpload(opened), request));
      return { key, token, signed };
    } catch (error) {
      // The client will never learn of this upload, and its next try opens another one.
      await s3.abort(opened).catch((fault) => onLeftOpen(toStorageFault(fault)));
      throw error;
    }
  }

  /** @throws {StorageFault} transient, `RATE_LIMITED`, if the owner has begun too many uploads */
  async function countOne(owner: string | null): Promise<void> {
    const { counts } = settings;
    const { beginsPerMinute } = rules;
    if (counts === undefined || owner === null || beginsPerMinute === undefined)
      return countBegin?.(owner, performance.now());
    const retryAfterMs = await counts.begin(owner, beginsPerMinute);
    if (retryAfterMs > 0) throw tooManyBegins(beginsPerMinute, retryAfterMs);
  }

  /** @throws {RequestRefused} 400, if the token were too long to be sent back */
  async function sealed(claims: UploadClaims): Promise<string> {
    const token = await tokens.seal(claims);
    if (token.length > MAX_TOKEN_LENGTH)
      throw new RequestRefused(400, "the object's key, type, metadata and headers are too long altogether");
    return token;
  }

  /**
   * Files in which browsers would run script are for downloading, unless the app has said that it wants to
   * show them.
   */
  function objectFor(type: string, wanted: ObjectSettings): ObjectSettings {
    const isNamed = rules.types?.some((pattern) => matchesMediaType(type, pattern)) ?? false;
    if (!isActiveType(type) || isNamed) return wanted;
    return { contentDisposition: "attachment", ...wanted };
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
    operation: LaterOperation,
    request: Request,
    trail: Trail,
    isAsked: boolean,
  ): Promise<UploadClaims> {
    const claims = await openToken(token);
    const { key, size, owner } = claims;
    const seconds = settings.unattendedSeconds;
    const byToken = isUnattended(claims, operation, { isAsked, seconds, now: Date.now() });
    trail.key = key;
    trail.owner = owner;
    await permit(authorize, request, {
      operation,
      key,
      size,
      ...(owner !== null && { owner }),
      ...(byToken && { unattended: true }),
    });
    return claims;
  }

  function record(request: Request, trail: Trail, status: number, code: UploadErrorCode | null): void {
    // A relayed range is answered 200 even where some of its parts could not be stored.
    const outcome = code === null ? "done" : status >= 500 || status === 200 ? "failed" : "refused";
    try {
      const recorded = settings.audit?.({ at: new Date(), ...trail, outcome, status, code }, request);
      if (recorded instanceof Promise) recorded.catch(() => {});
    } catch {
      // Errors of the hook are ignored, as those of `onError`.
    }
  }

  function report(error: Error, context: UploadErrorContext): void {
    try {
      settings.onError?.(error, context);
    } catch {
      // The app's logging has failed; the client's answer doesn't depend on it.
    }
  }
}

type LaterOperation = Exclude<Operation, "begin" | "begin-many" | "probe" | "release">;

interface Answered {
  readonly response: Response;
  /** Why it was not done; null if it was. */
  readonly code: UploadErrorCode | null;
}

/** The request as far as it is known by now, for `onError` and `audit`. */
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
    throw new UploadError("PART_SIZE_INVALID", `${partSize} bytes, for a single PUT of ${size}`);
}
