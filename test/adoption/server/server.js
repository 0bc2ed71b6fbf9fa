// The server of all apps that have none of their own: their files, and the upload handler as the README has it.
import { createServer } from "node:http";
import { S3Client } from "@aws-sdk/client-s3";
import { createUploadHandler } from "backhaul/server";
import { relayServerOptions, toNodeListener } from "backhaul/server/node";
import express from "express";

const { PORT, PUBLIC_FOLDER, S3_BUCKET: bucket, S3_ENDPOINT: endpoint, UPLOAD_SECRET: secret } = process.env;

const handler = createUploadHandler({
  client: new S3Client({ region: "us-east-1", endpoint, forcePathStyle: true }),
  bucket,
  secret,
  authorize: async (_request, { key }) => ({ key }),
});

const app = express();
app.use("/uploads", toNodeListener(handler));
app.use(express.static(PUBLIC_FOLDER));
createServer(relayServerOptions, app).listen(PORT, "localhost");
