import { httpStorage, type ServeUploadsOptions, serveUploads } from "backhaul/sw";

declare const self: ServiceWorkerGlobalScope;

self.addEventListener("install", () => void self.skipWaiting());

/** Each test chooses them in the page's own query. */
interface TestOptions extends Partial<ServeUploadsOptions> {
  readonly relay?: boolean;
}

const options = new URL(self.location.href).searchParams.get("options");
const { relay = true, ...rest } = JSON.parse(options ?? "{}") as TestOptions;
serveUploads({ ...rest, storage: httpStorage({ endpoint: "/uploads", relay }) });
