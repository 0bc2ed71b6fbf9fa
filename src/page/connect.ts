import { Workbox } from "workbox-window";
import { explained } from "../core/error-messages.ts";
import { createBrowserPlatform } from "./browser-platform.ts";
import { type PageOptions, Uploads } from "./uploads.ts";

/** How a page connects: with the URL of the worker's script, or with a registration that the app has made itself. */
export type ConnectOptions = PageOptions &
  (
    | {
        /** URL of the worker's script, which calls `serveUploads`. The script is registered if it is not yet. */
        readonly worker: string;
        /** URL prefix of the pages that the worker serves. @default the script's folder */
        readonly scope?: string;
        /** How the script is loaded. @default "classic" */
        readonly type?: WorkerType;
      }
    | {
        /** The worker's registration, for apps that register their worker themselves. */
        readonly registration: ServiceWorkerRegistration;
      }
  );

/**
 * Connects this page to the worker that carries the uploads.
 *
 * @throws {UploadError} `NOT_SUPPORTED`, `WORKER_UNREACHABLE`, `PROTOCOL_MISMATCH`, `DATABASE_UNAVAILABLE`,
 *   `DATABASE_TOO_NEW`
 */
export async function connectUploads(options: ConnectOptions): Promise<Uploads> {
  if (!navigator.serviceWorker || !navigator.locks) throw explained({ code: "NOT_SUPPORTED", detail: "" });
  const registration = "registration" in options ? options.registration : await register(options);
  await becomesActive(registration);
  const uploads = new Uploads(createBrowserPlatform(registration));
  try {
    await uploads.open(options);
  } catch (error) {
    uploads.close();
    throw error;
  }
  return uploads;
}

async function register({ worker, scope, type }: Extract<ConnectOptions, { worker: string }>) {
  const workbox = new Workbox(worker, { ...(scope && { scope }), ...(type && { type }) });
  try {
    // By default Workbox registers after the page's `load` event, and an upload that was cut off should not
    // wait for images.
    const registration = await workbox.register({ immediate: true });
    if (registration) return registration;
  } catch (cause) {
    throw explained({ code: "WORKER_UNREACHABLE", detail: `${worker}: ${String(cause)}` }, { cause });
  }
  throw explained({ code: "NOT_SUPPORTED", detail: "" });
}

/** `Workbox.active` would wait for ever on a page that its worker does not control, as after a reload with Shift. */
function becomesActive(registration: ServiceWorkerRegistration): Promise<void> {
  if (registration.active) return Promise.resolve();
  const coming = registration.waiting ?? registration.installing;
  return new Promise((resolve, reject) => {
    const look = () => {
      if (coming?.state === "activating" || coming?.state === "activated") resolve();
      else if (!coming || coming.state === "redundant")
        reject(explained({ code: "WORKER_UNREACHABLE", detail: "its script failed to install" }));
    };
    coming?.addEventListener("statechange", look);
    look();
  });
}
