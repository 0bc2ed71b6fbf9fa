/**
 * How objects get into S3 by the app's own server. The way with temporary credentials (`s3-storage.ts`) has a door of its own,
 * since it contains the AWS SDK, which is several times as large as all the rest of the worker.
 */

export { type AuthorizedStorage, createHttpStorage, type HttpStorageOptions } from "./http-storage.ts";
