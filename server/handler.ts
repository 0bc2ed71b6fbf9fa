import * as v from "valibot";
import type { UploadClaims } from "../s3/claims.ts";
import { isActiveType, matchesMediaType, toMediaType } from "../s3/media-type.ts";
import { type ObjectSettings, objectMetadata } from "../s3/object-settings.ts";
import { toStorageFault } from "../s3/s3-faults.ts";
import { createS3Uploads } from "../s3/s3-uploads.ts";
import { createSigner } from "../s3/signer.ts";
import { UploadError, type UploadErrorCode } from "../src/core/errors.ts";
import {
  abortRequest,
  beginRequest,
  completeRequest,
  type Operation,
  partsRequest,
  signRequest,
} from "../src/core/http-api.ts";
import type { StorageLimits } from "../src/core/limits.ts";
import { checkObjectKey } from "../src/core/object-key.ts";
import { checkSize, planParts } from "../src/core/part-plan.ts";
import { type BeginAnswer, type BeginIntent, StorageFault, type StoredObject } from "../src/core/storage.ts";
import { answer, answerBrokenRange, answerFault, answerRefused } from "./answers.ts";
import { permit } from "./authorize.ts";
import { createBeginCounter } from "./begin-counter.ts";
import { boundedClient } from "./bounded-client.ts";
import { settingsOf, type UploadErrorContext, type UploadHandlerOptions } from "./handler-options.ts";
import { callHook, completedUpload, hookedUpload } from "./hooks.ts";
import { clientGone } from "./range-body.ts";
import { createBodyReader } from "./read-body.ts";
import { operationOf, readRelayHead, requireOrigin } from "./read-request.ts";
import { RequestRefused } from "./refused.ts";
import { createRelay, RangeBroken } from "./relay.ts";
import { checkRules, RELAYS_AT_ONCE } from "./rules.ts";
import { createTokenSeal } from "./token.ts";

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
  const settings = settingsOf(options);
  const { client, signingClient, bucket, authorize, publicEndpoint, audience, origins } = settings;
  const { rules, limits, tokenSeconds, signedUrlSeconds, storageTimeoutSeconds } = settings;
  const basePath = settings.basePath?.replace(/\/$/, "");
  const countBegin =
    rules.beginsPerMinute === undefined ? undefined : createBeginCounter(rules.beginsPerMinute);
  const tokens = createTokenSeal(settings.secret);
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
    idleSeconds: settings.relayIdleSeconds,
    bytesPerSecond: settings.relayBytesPerSecond,
    mostPerOwner: rules.relaysAtOnce ?? RELAYS_AT_ONCE,
  });

  return async (request) => {
    const trail: Trail = { operation: null, key: null, owner: null };
    const { response, code } = await respond(request, trail);
    record(request, trail, response.status, code);
    return response;
  };

  async function respond(request: Request, trail: Trail): Promise<Answered> {
    try {
      trail.operation = operationOf(request, basePath);
      if (origins !== undefined) requireOrigin(request, origins);
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
        const body = await bodies.read(request, completeRequest, true);
        const claims = await claimsOf(body.token, operation);
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
    countBegin?.(owner, performance.now());

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
      audience,
      id: crypto.randomUUID(),
    };
    if (method === "single") {
      const token = await sealed({ ...claims, method });
      await callHook("onBegin", () => settings.onBegin?.(hookedUpload({ ...claims, method }), request));
      return { key, token };
    }

    const s3 = s3For(request);
    const onLeftOpen = (error: StorageFault) => report(error, { ...trail, status: null });
    const s3UploadId = await s3.open({ key, uploadId, type, checksum, object, triedForMs }, onLeftOpen);
    const opened = { ...claims, method, partSize, s3UploadId };
    try {
      const token = await sealed(opened);
      if (request.signal.aborted) throw clientGone();
      await callHook("onBegin", () => settings.onBegin?.(hookedUpload(opened), request));
      return { key, token };
    } catch (error) {
      // The client will never learn of this upload, and its next try opens another one.
      await s3.abort(opened).catch((fault) => onLeftOpen(toStorageFault(fault)));
      throw error;
    }
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

  function record(request: Request, trail: Trail, status: number, code: UploadErrorCode | null): void {
    const outcome = code === null ? "done" : status >= 500 ? "failed" : "refused";
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
