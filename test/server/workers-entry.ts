/** The handler as an app on Cloudflare Workers would have it: one module, bundled for a runtime without DOM. */
import { S3Client, type S3ClientConfig } from "@aws-sdk/client-s3";
import { createUploadHandler, type UploadHandler } from "../../server/index.ts";

export function createHandler(
  s3: Pick<S3ClientConfig, "endpoint" | "credentials">,
  bucket: string,
  secret: string,
): UploadHandler {
  return createUploadHandler({
    client: new S3Client({ region: "us-east-1", forcePathStyle: true, ...s3 }),
    bucket,
    secret,
    limits: { minPartBytes: 1 },
    authorize: (_request, { key }) => ({ key }),
  });
}
