/** One of several servers with the upload handler that share counts by Redis, in a process of its own. It writes its URL. */
import { S3Client } from "@aws-sdk/client-s3";
import { createClient } from "redis";
import { createUploadHandler } from "../../server/index.ts";
import { toNodeListener } from "../../server/node.ts";
import { redisCounts } from "../../server/redis.ts";
import { listen } from "./listen.ts";

const { S3_URL = "", S3_BUCKET = "", S3_KEY_ID = "", S3_KEY = "", SECRET = "", REDIS_URL = "" } = process.env;

const redis = createClient({ url: REDIS_URL, disableOfflineQueue: true });
redis.on("error", () => {});
await redis.connect();
const handler = createUploadHandler({
  client: new S3Client({
    region: "us-east-1",
    endpoint: S3_URL,
    forcePathStyle: true,
    credentials: { accessKeyId: S3_KEY_ID, secretAccessKey: S3_KEY },
  }),
  bucket: S3_BUCKET,
  secret: SECRET,
  rules: { beginsPerMinute: 6, relaysAtOnce: 2 },
  counts: redisCounts(redis),
  authorize: (request, { key }) => ({ key, owner: request.headers.get("x-user") ?? "" }),
});
const { url } = await listen(toNodeListener(handler));
console.log(url);
