/** The worker's API for pages, the messages that carry it, and how they keep the worker alive. */

export { createWorkerApi, type NewUpload, type UploadCommands } from "./api.ts";
export { AuthRequest } from "./auth-request.ts";
export { keepAlive } from "./keep-alive.ts";
export { Lifecycle } from "./lifecycle.ts";
export { createMessageHandler } from "./messages.ts";
export { PageClients } from "./page-clients.ts";
