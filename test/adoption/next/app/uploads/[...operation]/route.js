import { S3Client } from "@aws-sdk/client-s3";
import { createUploadHandler } from "backhaul/server";

let handler;

// Made by the first request: Next loads this file while it builds, too, where the variables need not be set.
function handle(request) {
  handler ??= createUploadHandler({
    client: new S3Client({ region: "us-east-1", endpoint: process.env.S3_ENDPOINT, forcePathStyle: true }),
    bucket: process.env.S3_BUCKET,
    secret: process.env.UPLOAD_SECRET,
    authorize: async (_request, { key }) => ({ key }),
  });
  return handler(request);
}

export const POST = handle;
export const PUT = handle;
