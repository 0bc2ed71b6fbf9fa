import { explained } from "../core/error-messages.ts";
import { createBrowserPlatform } from "./browser-platform.ts";
import { registerWorker, type WorkerScript } from "./register-worker.ts";
import { type PageOptions, PageUploads, type Uploads } from "./uploads.ts";

/** How a page connects: with the URL of the worker's script, or with a registration that the app has made itself. */
export type ConnectOptions = PageOptions &
  (
    | WorkerScript
    | {
        /** The worker's registration, for apps that register their worker themselves. */
        readonly registration: ServiceWorkerRegistration;
      }
  );

/**
 * Connects this page to the worker that carries the uploads.
 *
 * @throws {UploadError} `NOT_SUPPORTED`, `WORKER_REFUSED`, `WORKER_SCRIPT_INVALID`, `WORKER_NOT_SERVING`, `WORKER_WAITING`,
 *   `WORKER_UNREACHABLE`, `PROTOCOL_MISMATCH`, `DATABASE_UNAVAILABLE`, `DATABASE_TOO_NEW`
 */
export async function connectUploads(options: ConnectOptions): Promise<Uploads> {
  const { serviceWorker, locks } = globalThis.navigator ?? {};
  if (!serviceWorker || !locks) throw explained({ code: "NOT_SUPPORTED", detail: "" });
  const registration = "registration" in options ? options.registration : await registerWorker(options);
  await becomesActive(registration);
  const uploads = new PageUploads(
    createBrowserPlatform(registration, "type" in options ? options.type : undefined),
  );
  try {
    await uploads.open(options);
  } catch (error) {
    uploads.close();
    throw error;
  }
  return uploads;
}

/** `Workbox.active` would wait for ever on a page that its worker does not control, as after a reload with Shift. */
function becomesActive(registration: ServiceWorkerRegistration): Promise<void> {
  if (registration.active) return Promise.resolve();
  const coming = registration.waiting ?? registration.installing;
  return new Promise((resolve, reject) => {
    const look = () => {
      if (coming?.state === "activating" || coming?.state === "activated") resolve();
      else if (!coming || coming.state === "redundant")
        reject(
          explained({
            code: "WORKER_SCRIPT_INVALID",
            detail: "its installation failed: see the console, and what the script's install event waits for",
          }),
        );
    };
    coming?.addEventListener("statechange", look);
    look();
  });
}
