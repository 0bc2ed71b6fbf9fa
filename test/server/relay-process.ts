/**
 * A server with the upload handler in a process of its own, whose memory can be measured. It is given its S3 by the environment,
 * and writes its URL.
 */
import { S3Client } from "@aws-sdk/client-s3";
import { createUploadHandler } from "../../server/index.ts";
import { toNodeListener } from "../../server/node.ts";
import { listen } from "./listen.ts";

const { S3_URL = "", S3_BUCKET = "", S3_KEY_ID = "", S3_KEY = "", SECRET = "" } = process.env;

const handler = createUploadHandler({
  client: new S3Client({
    region: "us-east-1",
    endpoint: S3_URL,
    forcePathStyle: true,
    credentials: { accessKeyId: S3_KEY_ID, secretAccessKey: S3_KEY },
  }),
  bucket: S3_BUCKET,
  secret: SECRET,
  authorize: (_request, { key }) => ({ key }),
});
const { url } = await listen(toNodeListener(handler));
console.log(url);
