/** What pages can ask of the worker, the messages by which they do, and how those keep the worker alive. */

export { createWorkerApi, type NewUpload, type UploadCommands } from "./api.ts";
export { AuthRequest } from "./auth-request.ts";
export { keepAlive, tellPages } from "./keep-alive.ts";
export { Lifecycle } from "./lifecycle.ts";
export { createMessageHandler } from "./messages.ts";
