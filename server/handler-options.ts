import type { S3Client } from "@aws-sdk/client-s3";
import * as v from "valibot";
import { type ObjectSettings, objectSettings } from "../s3/object-settings.ts";
import type { Operation } from "../src/core/http-api.ts";
import type { StorageLimits } from "../src/core/limits.ts";
import { S3_LIMITS } from "../src/core/limits.ts";
import type { Authorize } from "./authorize.ts";
import { STORAGE_TIMEOUT_SECONDS } from "./bounded-client.ts";
import type { UploadHooks } from "./hooks.ts";
import type { OwnerCounts } from "./owner-counts.ts";
import { requireRules, type UploadRules } from "./rules.ts";

/** How the upload handler reaches S3, whom it allows to upload, and within which limits. */
export interface UploadHandlerOptions extends UploadHooks {
  /**
   * The app's own client, with region, credentials and, for other engines than Amazon's, endpoint. Its
   * credentials need `s3:PutObject`, `s3:GetObject`, `s3:AbortMultipartUpload` and
   * `s3:ListMultipartUploadParts` on the objects, and `s3:ListBucket` (without it S3 answers 403 for an object
   * that is not there) and `s3:ListBucketMultipartUploads` on the bucket; with SSE-KMS also
   * `kms:GenerateDataKey` and `kms:Decrypt` on the bucket's key. Proxies and certificates belong in an
   * `https.Agent` of yours: if the SDK is given only an agent's options, it makes another agent for large
   * bodies.
   */
  readonly client: S3Client;
  /**
   * Signs the URLs that browsers get, with credentials that may do nothing but `s3:PutObject`. A signed URL
   * allows as much as the credentials that signed it: some engines (Ceph 16, for one) accept `x-amz-copy-source`
   * from anybody who holds a URL, and copy any object that these credentials may read into the upload. Where the
   * credentials are not those of the bucket's owner, objects need the ACL "bucket-owner-full-control"
   * (`object.acl`), or `client` can't see them.
   * @default `client`
   */
  readonly signingClient?: S3Client;
  /** Name of the bucket. */
  readonly bucket: string;
  /**
   * Signs the tokens: at least 32 random bytes, the same on all servers. To change the secret, give several: the
   * first signs, all verify.
   */
  readonly secret: string | readonly string[];
  /** Decides who may upload what. Called on every request. */
  readonly authorize: Authorize;
  /**
   * Keeps tokens of this handler from being used with another handler that has the same secret and bucket, but
   * another `authorize`.
   * @default ""
   */
  readonly audience?: string;
  /**
   * The path where the handler is mounted, such as "/uploads", as it stands in the request's URL. Requests to
   * other paths are answered with 404.
   * @default any path: only its last segment counts
   */
  readonly basePath?: string;
  /**
   * Origins whose pages may use the handler, such as "https://app.example", for apps that know their users by
   * a cookie. Requests for pages of other origins are refused with 403, by `Origin` and `Sec-Fetch-Site`. Even
   * without this option such pages are kept out, unless the app's CORS headers let them in: all requests have a
   * content type and a header that need CORS.
   * @default not checked
   */
  readonly origins?: readonly string[];
  /** Limits on what the app accepts. @default all that `authorize` and the storage accept */
  readonly rules?: UploadRules;
  /**
   * Counts that several servers share, for `rules.beginsPerMinute` and `rules.relaysAtOnce`: `redisCounts` of
   * `backhaul/server/redis`. Uploads without an owner are counted by each process for itself.
   * @default in memory, for each process by itself
   */
  readonly counts?: OwnerCounts;
  /** Headers and metadata of all objects; a permit's `object` takes precedence. @default none */
  readonly object?: ObjectSettings;
  /** The S3 engine's limits, where they differ from Amazon's. @default S3_LIMITS */
  readonly limits?: Partial<StorageLimits>;
  /**
   * How long a signed URL may be used, in whole seconds, 1 to 604,800; never longer than its upload's token.
   * Nothing revokes it: neither a sign-out nor the end of the upload (but see `object.ifNoneMatch`).
   * @default 3600
   */
  readonly signedUrlSeconds?: number;
  /**
   * How long an upload may take, pauses included, in whole seconds, 1 to 31,622,400. Applies to tokens that were
   * issued before, too. The bucket's lifecycle rule must keep unfinished uploads for at least as long.
   * @default 604800 (7 days)
   */
  readonly tokenSeconds?: number;
  /**
   * How long an upload's own token is enough to see which parts S3 has, to send the others and to complete the
   * upload, in whole seconds from `begin`, 0 (never) to 31,622,400. So uploads end with no page open where the
   * app knows its users by headers (a bearer token) that only its pages have. `authorize` is asked nevertheless, and told so
   * by `intent.unattended`; a permit of `begin` may rule it out (`unattended: false`). Applies to tokens that
   * were issued before, too.
   * @default 86400 (1 day)
   */
  readonly unattendedSeconds?: number;
  /**
   * How long a relayed request may stand still, in whole seconds, 1 to 3,600. After that, the connection to the
   * end that holds it up is closed: to a client that sends nothing, or to S3 if it reads nothing.
   * @default 60
   */
  readonly relayIdleSeconds?: number;
  /**
   * The least rate of a relayed request, in bytes per second, 1 to 1,048,576. An end that has been slower for
   * `relayIdleSeconds` altogether is treated like one that stands still.
   * @default 4096
   */
  readonly relayBytesPerSecond?: number;
  /**
   * How long a relayed request that was read in part is held, unread, before it is refused, in whole seconds, 0 to
   * 300. Chromium crashes if a request fails while another server reads a copy of it. Where one process serves all,
   * set 0: a pause then stops a relayed upload at once, instead of once the connection's buffers are full.
   * @default 35
   */
  readonly relayHoldSeconds?: number;
  /**
   * How long S3 may take to answer a call, including the SDK's retries, in whole seconds, 1 to 900. Completing
   * an upload may take eight times as long, since S3 may need minutes to put 10,000 parts together.
   * @default 30
   */
  readonly storageTimeoutSeconds?: number;
  /**
   * URL by which browsers reach S3, if the server uses another one, such as a container's name or a private
   * endpoint.
   * @default the client's own endpoint
   */
  readonly publicEndpoint?: string;
  /**
   * Called for every request that was refused or failed, with its cause, and for warnings. Neither argument
   * holds tokens or signed URLs.
   * @default none
   */
  readonly onError?: (error: Error, context: UploadErrorContext) => void;
}

/** The request that was refused or failed. */
export interface UploadErrorContext {
  /** The API's operation; null for a request that asked for none of them. */
  readonly operation: Operation | null;
  /**
   * The object's key; null where it is not known. Until `authorize` has decided on the key, it is as the client
   * sent it, line breaks included.
   */
  readonly key: string | null;
  /** The owner that `authorize` named; null where it is not known, or there is none. */
  readonly owner: string | null;
  /** HTTP status of the response; null for a warning, after which the request went on. */
  readonly status: number | null;
}

const DEFAULTS = {
  signedUrlSeconds: 3_600,
  tokenSeconds: 7 * 24 * 3_600,
  unattendedSeconds: 24 * 3_600,
  relayIdleSeconds: 60,
  relayBytesPerSecond: 4_096,
  relayHoldSeconds: 35,
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
const MAX_RELAY_HOLD_SECONDS = 300;
const MAX_RELAY_BYTES_PER_SECOND = 1_048_576;

/** The options with their defaults. */
export type UploadHandlerSettings = Omit<UploadHandlerOptions, "limits"> &
  Required<Pick<UploadHandlerOptions, keyof typeof DEFAULTS>> & { readonly limits: StorageLimits };

/** @throws {TypeError} if an option has an invalid value */
export function settingsOf(options: UploadHandlerOptions): UploadHandlerSettings {
  requireBasics(options);
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const limits = { ...S3_LIMITS, ...options.limits };
  const settings: UploadHandlerSettings = { ...DEFAULTS, ...options, ...given, limits };
  requireSeconds("signedUrlSeconds", settings.signedUrlSeconds, MAX_SIGNED_URL_SECONDS);
  requireSeconds("tokenSeconds", settings.tokenSeconds, MAX_TOKEN_SECONDS);
  if (settings.unattendedSeconds !== 0)
    requireSeconds("unattendedSeconds", settings.unattendedSeconds, MAX_TOKEN_SECONDS);
  requireSeconds("relayIdleSeconds", settings.relayIdleSeconds, MAX_RELAY_IDLE_SECONDS);
  requireWhole("relayHoldSeconds", settings.relayHoldSeconds, MAX_RELAY_HOLD_SECONDS, "whole seconds", 0);
  requireSeconds("storageTimeoutSeconds", settings.storageTimeoutSeconds, MAX_STORAGE_TIMEOUT_SECONDS);
  requireWhole(
    "relayBytesPerSecond",
    settings.relayBytesPerSecond,
    MAX_RELAY_BYTES_PER_SECOND,
    "whole bytes",
  );
  requireRules(settings.rules);
  if (!v.is(objectSettings, settings.object))
    throw new TypeError("object has an unknown setting, or a value that can't be signed");
  return settings;
}

/** Apps in JavaScript may pass anything as an option, most often an environment variable that is not set. */
function requireBasics(options: UploadHandlerOptions): void {
  const { client, signingClient, bucket, authorize, publicEndpoint, basePath, origins } = options;
  if (typeof client?.send !== "function") throw new TypeError("client is not an S3Client");
  if (signingClient !== undefined && typeof signingClient?.send !== "function")
    throw new TypeError("signingClient is not an S3Client");
  if (typeof bucket !== "string") throw new TypeError(`bucket is ${bucket}: expected a string`);
  if (bucket === "") throw new TypeError("bucket is empty");
  if (typeof authorize !== "function") throw new TypeError("authorize is not a function");
  if (publicEndpoint !== undefined && !(URL.canParse(publicEndpoint) && /^https?:/i.test(publicEndpoint)))
    throw new TypeError("publicEndpoint is not an http or https URL");
  if (basePath !== undefined && !basePath.startsWith("/"))
    throw new TypeError(`basePath is ${JSON.stringify(basePath)}: expected a path such as "/uploads"`);
  for (const origin of origins ?? [])
    if (!URL.canParse(origin) || new URL(origin).origin !== origin)
      throw new TypeError(
        `origins has ${JSON.stringify(origin)}: expected an origin such as "https://app.example"`,
      );
}

function requireSeconds(name: string, value: number, max: number): void {
  requireWhole(name, value, max, "whole seconds");
}

function requireWhole(name: string, value: number, max: number, unit: string, min = 1): void {
  if (!Number.isSafeInteger(value) || value < min || value > max)
    throw new TypeError(`${name} is ${value}: expected ${unit} from ${min} to ${max}`);
}
