import { browserPlatform } from "./platform/index.ts";
import type { AuthorizedStorage } from "./storage/index.ts";
import { createS3Storage, type S3StorageOptions } from "./storage/s3-storage.ts";

export type { AuthorizedStorage } from "./storage/index.ts";
export type { S3StorageOptions } from "./storage/s3-storage.ts";
export type { FetchCredentials, TemporaryCredentials } from "./storage/temporary-credentials.ts";

/**
 * Creates the storage that asks S3 itself, with temporary credentials that the app gives each user. The credentials are kept in
 * memory only. An entry of its own, since it contains the AWS SDK.
 *
 * @throws {UploadError} `OPTION_INVALID`
 */
export function s3Storage(options: S3StorageOptions): AuthorizedStorage {
  return createS3Storage(options, browserPlatform);
}
