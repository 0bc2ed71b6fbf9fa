import {
  GetObjectCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  S3Client,
  type S3ClientConfig,
  UploadPartCommand,
  type UploadPartCommandInput,
} from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { type Checksum, type ChecksumKind, isSigned } from "../src/core/checksum.ts";
import { type PartPlan, partBytes } from "../src/core/part-plan.ts";
import { type PartToSign, type SignedPart, StorageFault } from "../src/core/storage.ts";
import { checksumField, headerOf } from "./checksums.ts";
import type { MultipartClaims, SingleClaims, UploadClaims } from "./claims.ts";
import { UNKNOWN_TYPE } from "./media-type.ts";
import {
  conditionFields,
  metadataOf,
  settingFields,
  settingHeaders,
  UPLOAD_ID_METADATA,
} from "./object-settings.ts";

export interface SignerOptions {
  readonly client: S3Client;
  /** Signs in the place of `client`, by credentials of its own. */
  readonly signingClient?: S3Client | undefined;
  readonly bucket: string;
  /** How long a signature is taken, in seconds. */
  readonly signedUrlSeconds: number;
  /** Where browsers reach S3, if it is not where the server does. */
  readonly publicEndpoint?: string | undefined;
}

export type Presign = typeof getSignedUrl;
type PresignOptions = NonNullable<Parameters<Presign>[2]>;

/**
 * Signs the requests that browsers send. Nothing here goes over the network, but for fetching credentials.
 */
export interface Signer {
  signPart(claims: MultipartClaims, plan: PartPlan, part: PartToSign): Promise<SignedPart>;
  signSingle(claims: SingleClaims, part: PartToSign): Promise<SignedPart>;
  /** URL of an object, without a signature. */
  locate(key: string): Promise<string>;
}

/** @param presignWith computes the signature */
export function createSigner(options: SignerOptions, presignWith: Presign = getSignedUrl): Signer {
  const { bucket, signedUrlSeconds } = options;
  const { publicEndpoint } = options;
  const client = bareClient(options.signingClient ?? options.client, { publicEndpoint });

  /**
   * `Content-Length` is always signed: it is what holds a browser to the size that was authorized, and S3
   * refuses any other body. Browsers send it by themselves.
   */
  async function sign(
    partNumber: number,
    { expiresAt }: UploadClaims,
    headers: Readonly<Record<string, string>>,
    presign: (options: PresignOptions) => Promise<string>,
  ): Promise<SignedPart> {
    // The app's client has learned from S3's answers how far off this machine's clock is, if it is far enough
    // to matter.
    const now = () => Date.now() + options.client.config.systemClockOffset;
    // Signatures carry whole seconds.
    const signedAt = Math.floor(now() / 1_000) * 1_000;
    // S3 would take the URL after the upload's own time.
    const uploadSeconds = Math.floor((expiresAt - Date.now()) / 1_000);
    if (uploadSeconds < 1) throw new StorageFault("permanent", "TOKEN_EXPIRED");
    const credentialLife = await credentialSeconds(client, signedAt);
    const lifetime = Math.min(signedUrlSeconds, uploadSeconds, credentialLife);
    const names = Object.keys(headers);
    const url = await presign({
      signingDate: new Date(signedAt),
      expiresIn: lifetime,
      // By default the presigner moves x-amz-* into the query, where metadata and checksums are ignored, and
      // leaves Content-Type unsigned.
      unhoistableHeaders: new Set(names),
      signableHeaders: new Set(names),
    });
    return { partNumber, url, headers, expiresInMs: Math.max(0, signedAt + lifetime * 1_000 - now()) };
  }

  return {
    signPart(claims, plan, { partNumber, checksum }) {
      const command = new UploadPartCommand({
        ...partInput(bucket, claims, plan, partNumber),
        ...checksumField(claims.checksum, checksum),
      });
      const headers = checksumHeader(claims.checksum, checksum);
      return sign(partNumber, claims, headers, (options) => presignWith(client, command, options));
    },

    signSingle(claims, { checksum }) {
      const command = new PutObjectCommand({
        ...objectInput(bucket, claims),
        ...checksumField(claims.checksum, checksum),
      });
      const headers = {
        [`x-amz-meta-${UPLOAD_ID_METADATA}`]: claims.uploadId,
        // S3 stores whatever type is sent with a signature that names none.
        "content-type": storedType(claims.type),
        ...settingHeaders(claims.object ?? {}),
        ...checksumHeader(claims.checksum, checksum),
      };
      return sign(1, claims, headers, (options) => presignWith(client, command, options));
    },

    async locate(key) {
      const url = new URL(await presignWith(client, new GetObjectCommand({ Bucket: bucket, Key: key })));
      url.search = "";
      return url.href;
    },
  };
}

function checksumHeader(kind: ChecksumKind, checksum: Checksum | null): Readonly<Record<string, string>> {
  return isSigned(kind) && checksum !== null ? { [headerOf(kind)]: checksum } : {};
}

/** UploadPart of one part, but for its body. */
export function partInput(
  bucket: string,
  { key, s3UploadId }: MultipartClaims,
  plan: PartPlan,
  partNumber: number,
): UploadPartCommandInput {
  const ContentLength = partBytes(plan, partNumber);
  return { Bucket: bucket, Key: key, UploadId: s3UploadId, PartNumber: partNumber, ContentLength };
}

/** PutObject of a single PUT, but for its body. */
export function objectInput(
  bucket: string,
  { key, uploadId, size, type, object = {} }: SingleClaims,
): PutObjectCommandInput {
  return {
    Bucket: bucket,
    Key: key,
    ContentLength: size,
    Metadata: metadataOf(uploadId, object),
    ContentType: storedType(type),
    ...settingFields(object),
    ...conditionFields(object),
  };
}

/** The type that an object gets. */
export function storedType(type: string): string {
  return type === "" ? UNKNOWN_TYPE : type;
}

export interface BareClientOptions {
  /** Where browsers reach S3, if it is not where the server does. */
  readonly publicEndpoint?: string | undefined;
  /** Sends in the place of the app's own request handler. */
  readonly requestHandler?: S3ClientConfig["requestHandler"];
}

/**
 * A client of our own, so that the app's one may have any settings: the SDK's default checksums would go into
 * the signed URL, as the checksum of the empty body that it sees here, and would make a streamed body one of
 * S3's own chunks, which not every engine reads. It sends by the app's request handler, and so through its
 * proxies and with its certificates.
 */
export function bareClient({ config }: S3Client, { publicEndpoint, requestHandler }: BareClientOptions = {}) {
  const shared: S3ClientConfig = {
    region: config.region,
    credentials: config.credentials,
    requestHandler: requestHandler ?? config.requestHandler,
    requestChecksumCalculation: "WHEN_REQUIRED",
    expectContinueHeader: config.expectContinueHeader,
    // The SDK's own strategies don't repeat a body that streams either, but say so on the console.
    retryStrategy: { retry: (next, args) => next(args) },
    useArnRegion: config.useArnRegion,
    ...(config.forcePathStyle !== undefined && { forcePathStyle: config.forcePathStyle }),
  };
  if (publicEndpoint !== undefined) return new S3Client({ ...shared, endpoint: publicEndpoint });
  return new S3Client({
    ...shared,
    useDualstackEndpoint: config.useDualstackEndpoint,
    useFipsEndpoint: config.useFipsEndpoint,
    ...(config.useAccelerateEndpoint !== undefined && {
      useAccelerateEndpoint: config.useAccelerateEndpoint,
    }),
    ...(config.bucketEndpoint !== undefined && { bucketEndpoint: config.bucketEndpoint }),
    ...(config.endpoint !== undefined && { endpoint: config.endpoint }),
  });
}

/** Seconds that the credentials will live. A signature dies with the temporary credentials that made it. */
async function credentialSeconds(client: S3Client, now: number): Promise<number> {
  const { expiration } = await client.config.credentials();
  if (expiration === undefined) return Number.POSITIVE_INFINITY;
  const seconds = Math.floor((expiration.getTime() - now) / 1_000);
  if (seconds < 1)
    throw new StorageFault("transient", "SERVER_ERROR", { detail: "the server's credentials have expired" });
  return seconds;
}
