import { S3Client } from "@aws-sdk/client-s3";
import * as v from "valibot";
import { claimsSchema, type UploadClaims } from "../../s3/claims.ts";
import { createHeaderSigner } from "../../s3/header-signer.ts";
import { toMediaType } from "../../s3/media-type.ts";
import { isRefusal } from "../../s3/s3-faults.ts";
import { createS3Uploads, type S3Uploads } from "../../s3/s3-uploads.ts";
import { UploadError } from "../../src/core/errors.ts";
import { StorageFault } from "../../src/core/storage.ts";
import { fetchWhole, type Platform } from "../platform/index.ts";
import type { AuthorizedStorage } from "./http-storage.ts";
import { CredentialSource, type Credentials, type FetchCredentials } from "./temporary-credentials.ts";

/** Which bucket to upload to, and with which credentials. They must allow each user what this user may do and no more. */
export interface S3StorageOptions {
  /** Fetches the signed-in user's temporary credentials from the app's server. */
  readonly credentials: FetchCredentials;
  /** Name of the bucket. */
  readonly bucket: string;
  /** Region of the bucket, such as "eu-central-1"; for other engines than Amazon's, the one that they are set up with. */
  readonly region: string;
  /** URL of an S3 engine other than Amazon's. @default Amazon S3's endpoint in the region */
  readonly endpoint?: string;
  /** Whether the bucket stands in the URL's path rather than in its host name. @default false */
  readonly forcePathStyle?: boolean;
}

const TIMEOUT_MS = 30_000;
// S3 may take minutes to put 10,000 parts together.
const COMPLETE_TIMEOUT_MS = 240_000;
const tokenSchema = v.pipe(v.string(), v.parseJson(), claimsSchema);

/**
 * Its tokens, which are stored, are plain claims: whose upload it is stands in the credentials, which are not.
 *
 * @throws {UploadError} `OPTION_INVALID`
 */
export function createS3Storage(
  options: S3StorageOptions,
  platform: Pick<Platform, "clock" | "fetch">,
): AuthorizedStorage {
  const { bucket, region, endpoint, forcePathStyle = false } = options;
  if (bucket === "") throw new UploadError("OPTION_INVALID", "bucket is empty");
  if (region === "") throw new UploadError("OPTION_INVALID", "region is empty");
  if (endpoint !== undefined && !URL.canParse(endpoint))
    throw new UploadError("OPTION_INVALID", "endpoint is not a URL");

  const source = new CredentialSource(options.credentials, platform.clock);
  // One client to each, since a client keeps those it was made with for as long as it pleases.
  const made = new WeakMap<Credentials, S3Uploads>();

  function uploadsWith(credentials: Credentials): S3Uploads {
    const known = made.get(credentials);
    if (known) return known;
    const client = new S3Client({
      region,
      forcePathStyle,
      credentials,
      ...(endpoint !== undefined && { endpoint }),
      // The engine tries again, and knows what may be repeated.
      maxAttempts: 1,
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
      requestHandler: { customFetch: sendBy(platform) },
    });
    const uploads = createS3Uploads({ client, bucket }, createHeaderSigner(client, bucket));
    made.set(credentials, uploads);
    return uploads;
  }

  /** Credentials may end before their time: revoked, or by a clock that this device's does not agree with. */
  async function withS3<T>(work: (uploads: S3Uploads) => Promise<T>): Promise<T> {
    const credentials = await source.get();
    try {
      return await work(uploadsWith(credentials));
    } catch (error) {
      const isRefused = error instanceof StorageFault && isRefusal(error.cause);
      // No 403 of Ceph or Swift has CORS headers: to the browser it is a network error like any other.
      if (isRefused || (error instanceof StorageFault && error.kind === "network")) source.drop(credentials);
      // Refused, nothing was done, so that even a `begin` may be repeated.
      if (!isRefused) throw error;
    }
    return work(uploadsWith(await source.get()));
  }

  async function withUpload<T>(
    token: string,
    work: (uploads: S3Uploads, claims: UploadClaims) => Promise<T>,
  ): Promise<T> {
    const parsed = v.safeParse(tokenSchema, token);
    if (!parsed.success || parsed.output.bucket !== bucket)
      throw new StorageFault("permanent", "TOKEN_INVALID");
    return withS3((uploads) => work(uploads, parsed.output));
  }

  return {
    relay: null,
    setAuth: (headers) => source.setHeaders(headers ?? {}),
    // Its credentials come from the app's own function, which says what it lacks.
    useAuthSource() {},
    async begin({ uploadId, key, size, type: wantedType, method, partSize, checksum, triedForMs }) {
      const type = toMediaType(wantedType);
      if (type === null) throw new UploadError("REQUEST_INVALID", "type must be a MIME type");
      const claims = { bucket, key, uploadId, size, checksum, owner: null, expiresAt: NEVER };
      const token = (of: UploadClaims) => ({ key, token: JSON.stringify(of) });
      if (method === "single") return token({ ...claims, method, type });
      const s3UploadId = await withS3((s3) =>
        s3.open({ key, uploadId, type, checksum, triedForMs }, warnOfLeftOpen),
      );
      return token({ ...claims, method, partSize, s3UploadId });
    },
    sign: (token, parts) => withUpload(token, (s3, claims) => s3.sign(claims, parts)),
    uploadedParts: (token, after) => withUpload(token, (s3, claims) => s3.parts(claims, after)),
    complete: (token, receipts) => withUpload(token, (s3, claims) => s3.complete(claims, receipts)),
    abort: (token) => withUpload(token, (s3, claims) => s3.abort(claims)),
  };
}

/** A token of this worker's own: S3 forgets the upload, or its bucket's lifecycle rule does. */
const NEVER = Number.MAX_SAFE_INTEGER;

function sendBy(platform: Pick<Platform, "clock" | "fetch">) {
  return (input: string | URL | Request, init?: RequestInit) => {
    const request = new Request(input, init);
    const isComplete = request.method === "POST" && new URL(request.url).searchParams.has("uploadId");
    return fetchWhole(platform, request, isComplete ? COMPLETE_TIMEOUT_MS : TIMEOUT_MS);
  };
}

function warnOfLeftOpen(fault: StorageFault): void {
  console.warn("backhaul: an unfinished upload may be left open at the storage.", fault);
}
