import { browserPlatform } from "./platform/index.ts";
import type { AuthorizedStorage } from "./storage/index.ts";
import { createS3Storage, type S3StorageOptions } from "./storage/s3-storage.ts";

export type { AuthorizedStorage } from "./storage/index.ts";
export type { S3StorageOptions } from "./storage/s3-storage.ts";
export type { FetchCredentials, TemporaryCredentials } from "./storage/temporary-credentials.ts";

/**
 * S3 itself as the storage, with temporary credentials that the app gives each user. An entry of its own, since it contains the
 * AWS SDK. Uploads stored with it carry plain claims: whose they are stands in the credentials, which are not stored.
 *
 * @throws {UploadError} `OPTION_INVALID`
 */
export function s3Storage(options: S3StorageOptions): AuthorizedStorage {
  return createS3Storage(options, browserPlatform);
}
