export { type ConnectOptions, connectUploads } from "./connect.ts";
export { isUploadError, UploadError, type UploadErrorCode, type UploadErrorWire } from "./core/errors.ts";
export type { AddOptions, LaneWish } from "./core/options.ts";
export type { Lane, UploadSnapshot } from "./core/snapshot.ts";
export type { StoredObject } from "./core/storage.ts";
export type { Durability, PauseReason, UploadState, WaitingReason } from "./core/upload.ts";
export type { Guarantees, Survival } from "./guarantees.ts";
export type { ListListener } from "./upload-list.ts";
export type { Uploads } from "./uploads.ts";
