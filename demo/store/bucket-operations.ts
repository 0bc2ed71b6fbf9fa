import { corsXml, parseCors } from "./cors.ts";
import { S3Error } from "./errors.ts";
import { type Operation, xmlAnswer } from "./exchange.ts";

export const createBucket: Operation = async ({ buckets, body, payload, target, region }) => {
  await body.text(payload);
  // https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html: us-east-1 alone says 200 to one's own bucket.
  if (buckets.find(target.bucket) !== undefined && region !== "us-east-1") {
    throw new S3Error("BucketAlreadyOwnedByYou", undefined, { BucketName: target.bucket });
  }
  buckets.create(target.bucket);
  return { headers: { location: `/${target.bucket}` } };
};

export const headBucket: Operation = ({ buckets, target, region }) => {
  buckets.get(target.bucket);
  return { headers: { "x-amz-bucket-region": region } };
};

export const putBucketCors: Operation = async ({ buckets, body, payload, target }) => {
  const bucket = buckets.get(target.bucket);
  bucket.cors = parseCors(await body.text(payload));
  return {};
};

export const getBucketCors: Operation = ({ buckets, target }) => {
  const { cors, name } = buckets.get(target.bucket);
  if (cors === undefined) throw new S3Error("NoSuchCORSConfiguration", undefined, { BucketName: name });
  return xmlAnswer(corsXml(cors));
};

export const deleteBucketCors: Operation = ({ buckets, target }) => {
  buckets.get(target.bucket).cors = undefined;
  return { status: 204 };
};
