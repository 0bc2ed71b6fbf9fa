import type { S3Client } from "@aws-sdk/client-s3";
import * as v from "valibot";
import { type ObjectSettings, objectSettings } from "../s3/object-settings.ts";
import type { Operation } from "../src/core/http-api.ts";
import type { StorageLimits } from "../src/core/limits.ts";
import { S3_LIMITS } from "../src/core/limits.ts";
import type { Authorize } from "./authorize.ts";
import { STORAGE_TIMEOUT_SECONDS } from "./bounded-client.ts";
import type { UploadHooks } from "./hooks.ts";
import { requireRules, type UploadRules } from "./rules.ts";

export interface UploadHandlerOptions extends UploadHooks {
  /**
   * The app's own client, with region, credentials and, for other engines than Amazon's, endpoint. Its
   * credentials need `s3:PutObject`, `s3:GetObject`, `s3:AbortMultipartUpload` and
   * `s3:ListMultipartUploadParts` on the objects, and `s3:ListBucket` (without it S3 says 403 for an object
   * that is not there) and `s3:ListBucketMultipartUploads` on the bucket; with SSE-KMS also
   * `kms:GenerateDataKey` and `kms:Decrypt` on the bucket's key. Proxies and certificates belong into an
   * `https.Agent` of yours; for large bodies the SDK makes another one if it was given the agent's options
   * only.
   */
  readonly client: S3Client;
  /**
   * Signs the URLs that browsers get, with credentials that may do nothing but `s3:PutObject`. What a signed
   * URL allows is what the credentials allow that signed it: some engines (Ceph 16, for one) take
   * `x-amz-copy-source` from whoever holds a URL, and copy any object into the upload that these credentials
   * may read. Where they are another user's than the bucket's, its objects need the ACL
   * "bucket-owner-full-control" (`object.acl`), or `client` can't see them.
   * @default `client`
   */
  readonly signingClient?: S3Client;
  readonly bucket: string;
  /**
   * Signs the tokens: at least 32 random bytes, the same on all servers. Several for a change of secret: the
   * first signs, all verify.
   */
  readonly secret: string | readonly string[];
  readonly authorize: Authorize;
  /**
   * Sets the tokens of this handler apart from those of another one with the same secret and bucket, which
   * asks another `authorize`.
   * @default ""
   */
  readonly audience?: string;
  /**
   * The path where the handler is mounted, such as "/uploads", as the request's URL has it. Requests to
   * others are answered 404.
   * @default any: only the last segment of the path is looked at
   */
  readonly basePath?: string;
  /**
   * Origins whose pages may use the handler, such as "https://app.example", for apps that know their users by
   * a cookie. What a browser sends for any other page is refused with 403, by `Origin` and `Sec-Fetch-Site`.
   * Pages of other origins are kept out as it is, unless the app's CORS headers let them in: requests have a
   * type and a header that need CORS.
   * @default not looked at
   */
  readonly origins?: readonly string[];
  /** Limits on what the app accepts. @default all that `authorize` and the storage accept */
  readonly rules?: UploadRules;
  /** What each object gets besides its type; `authorize` may say otherwise. @default nothing */
  readonly object?: ObjectSettings;
  /** Limits of the S3 engine. @default Amazon S3's */
  readonly limits?: Partial<StorageLimits>;
  /**
   * How long a signed URL may be used, in seconds, 1 to 604,800; never longer than its upload's token.
   * Nothing takes it back: not a sign-out, and not the end of the upload (but see `object.ifNoneMatch`).
   * @default 3600
   */
  readonly signedUrlSeconds?: number;
  /**
   * How long an upload may take, pauses included, in seconds, 1 to 31,622,400. Holds for tokens that are out
   * already, too. The bucket's lifecycle rule must leave unfinished uploads alone for as long.
   * @default 604800 (7 days)
   */
  readonly tokenSeconds?: number;
  /**
   * How long a relayed request may stand still, in whole seconds, before the end that holds it up is given
   * up: a client that sends nothing, or a part of which S3 takes nothing. 1 to 3,600.
   * @default 60
   */
  readonly relayIdleSeconds?: number;
  /**
   * The rate that a relayed request has to keep up, in bytes a second: an end that was slower, for
   * `relayIdleSeconds` on the whole, is given up like one that stands still. 1 to 1,048,576.
   * @default 4096
   */
  readonly relayBytesPerSecond?: number;
  /**
   * How long S3 may take to answer a call, with all retries of the SDK, in seconds; eight times as long to
   * complete an upload, since S3 may take minutes to put 10,000 parts together. 1 to 900.
   * @default 30
   */
  readonly storageTimeoutSeconds?: number;
  /**
   * URL by which browsers reach S3, if the server does so by another (a container's name, a private
   * endpoint).
   */
  readonly publicEndpoint?: string;
  /**
   * Called for everything that was refused or failed, with its cause. Neither argument has tokens or signed
   * URLs in it.
   */
  readonly onError?: (error: Error, context: UploadErrorContext) => void;
}

export interface UploadErrorContext {
  /** The API's operation; null for a request that is none of them. */
  readonly operation: Operation | null;
  /**
   * The object's key; null where it is not known. Until `authorize` has named it, it is as the client sent
   * it, line ends and all.
   */
  readonly key: string | null;
  readonly owner: string | null;
  /** HTTP status of the answer; null for a warning, after which the request went on. */
  readonly status: number | null;
}

const DEFAULTS = {
  signedUrlSeconds: 3_600,
  tokenSeconds: 7 * 24 * 3_600,
  relayIdleSeconds: 60,
  relayBytesPerSecond: 4_096,
  storageTimeoutSeconds: STORAGE_TIMEOUT_SECONDS,
  audience: "",
  rules: {},
  object: {},
} as const satisfies Partial<UploadHandlerOptions>;

// Signature Version 4 allows no more.
const MAX_SIGNED_URL_SECONDS = 7 * 24 * 3_600;
const MAX_TOKEN_SECONDS = 366 * 24 * 3_600;
const MAX_STORAGE_TIMEOUT_SECONDS = 900;
const MAX_RELAY_IDLE_SECONDS = 3_600;
const MAX_RELAY_BYTES_PER_SECOND = 1_048_576;

/** The options with their defaults. */
export type UploadHandlerSettings = Omit<UploadHandlerOptions, "limits"> &
  Required<Pick<UploadHandlerOptions, keyof typeof DEFAULTS>> & { readonly limits: StorageLimits };

/** @throws {TypeError} if an option makes no sense */
export function settingsOf(options: UploadHandlerOptions): UploadHandlerSettings {
  requireBasics(options);
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const limits = { ...S3_LIMITS, ...options.limits };
  const settings: UploadHandlerSettings = { ...DEFAULTS, ...options, ...given, limits };
  requireSeconds("signedUrlSeconds", settings.signedUrlSeconds, MAX_SIGNED_URL_SECONDS);
  requireSeconds("tokenSeconds", settings.tokenSeconds, MAX_TOKEN_SECONDS);
  requireSeconds("relayIdleSeconds", settings.relayIdleSeconds, MAX_RELAY_IDLE_SECONDS);
  requireSeconds("storageTimeoutSeconds", settings.storageTimeoutSeconds, MAX_STORAGE_TIMEOUT_SECONDS);
  requireWhole(
    "relayBytesPerSecond",
    settings.relayBytesPerSecond,
    MAX_RELAY_BYTES_PER_SECOND,
    "whole bytes",
  );
  requireRules(settings.rules);
  if (!v.is(objectSettings, settings.object))
    throw new TypeError("object has a setting that is not known, or a value that can't be signed");
  return settings;
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
