import { GetObjectCommand, PutObjectCommand, type S3Client, UploadPartCommand } from "@aws-sdk/client-s3";
import { type SignedPart, StorageFault } from "../src/core/storage.ts";
import { checksumField } from "./checksums.ts";
import { objectInput, partInput, type Signer } from "./signer.ts";

/** S3 takes a request for this long after the time that is signed in it. */
const LIFETIME_MS = 900_000;

type Command = UploadPartCommand | PutObjectCommand | GetObjectCommand;
type Request = { readonly url: URL; readonly headers: Readonly<Record<string, string>> };

/**
 * Signs in the headers, for who sends by credentials of their own. A presigned URL would do, but Ceph's STS
 * checks its signature in a CORS preflight as well, which doesn't have the headers that were signed; and a
 * URL is logged on its way, with the session token in it.
 *
 * @param client one that adds no checksums of its own (`WHEN_REQUIRED`)
 */
export function createHeaderSigner(client: S3Client, bucket: string): Signer {
  async function sign(partNumber: number, command: Command): Promise<SignedPart> {
    const expiresInMs = Math.min(LIFETIME_MS, await credentialMs(client));
    const { url, headers } = await signedRequest(client, command);
    // Browsers set these two by themselves. They are sent as they were signed, or S3 refuses.
    const { host: _host, "content-length": _length, ...sent } = headers;
    return { partNumber, url: url.href, headers: sent, expiresInMs };
  }

  return {
    signPart(claims, plan, { partNumber, checksum }) {
      const input = partInput(bucket, claims, plan, partNumber);
      return sign(
        partNumber,
        new UploadPartCommand({ ...input, ...checksumField(claims.checksum, checksum) }),
      );
    },

    signSingle(claims, { checksum }) {
      const input = objectInput(bucket, claims);
      return sign(1, new PutObjectCommand({ ...input, ...checksumField(claims.checksum, checksum) }));
    },

    async locate(key) {
      const { url } = await signedRequest(client, new GetObjectCommand({ Bucket: bucket, Key: key }));
      url.search = "";
      return url.href;
    },
  };
}

/** Milliseconds that the credentials will live. */
async function credentialMs(client: S3Client): Promise<number> {
  const { expiration } = await client.config.credentials();
  const left = (expiration?.getTime() ?? Number.POSITIVE_INFINITY) - Date.now();
  if (left <= 0)
    throw new StorageFault("transient", "SERVER_ERROR", { detail: "the credentials have expired" });
  return left;
}

/** The request that the SDK would send. Nothing goes over the network. */
async function signedRequest(client: S3Client, anyCommand: Command): Promise<Request> {
  // One type stands for three here, which differ in nothing that is used.
  const command = anyCommand as UploadPartCommand;
  let signed: SdkRequest | undefined;
  command.middlewareStack.add(
    (next) => (args) => {
      (args.request as SdkRequest).headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD";
      return next(args);
    },
    { step: "build", name: "backhaulUnsignedPayload" },
  );
  command.middlewareStack.add(
    () => async (args) => {
      signed = args.request as SdkRequest;
      return { response: undefined, output: { $metadata: {} } };
    },
    // This middleware runs after the SDK's own, of which the last one signs.
    { step: "finalizeRequest", priority: "low", name: "backhaulSignedRequest" },
  );
  await client.send(command);
  if (!signed)
    throw new StorageFault("transient", "INTERNAL", { detail: "the SDK did not sign the request" });
  const { protocol, hostname, port, path, query, headers } = signed;
  const url = new URL(`${protocol}//${hostname}${port === undefined ? "" : `:${port}`}${path}`);
  url.search = String(new URLSearchParams(query));
  return { url, headers };
}

/** The SDK's `HttpRequest`, as far as these commands fill it. */
interface SdkRequest {
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
  readonly query: Record<string, string>;
  readonly headers: Record<string, string>;
}
