export type { StorageLimits } from "../src/core/limits.ts";
export { S3_LIMITS } from "../src/core/limits.ts";
export type { Authorize, UploadIntent, UploadPermit } from "./authorize.ts";
export type { CleanUpOptions, CleanUpSummary, CleanUpUpload } from "./clean-up.ts";
export { cleanUp } from "./clean-up.ts";
export type { UploadErrorContext, UploadHandler, UploadHandlerOptions } from "./handler.ts";
export { createUploadHandler } from "./handler.ts";
export type { UploadRules } from "./rules.ts";
export type { TimeSpan } from "./time-span.ts";
