import { type ServeUploadsOptions, serveUploads } from "backhaul/sw";
import { type S3StorageOptions, s3Storage } from "backhaul/sw/s3-storage";

declare const self: ServiceWorkerGlobalScope;

self.addEventListener("install", () => void self.skipWaiting());

/** Each test chooses them in the page's own query. */
interface TestOptions extends Partial<ServeUploadsOptions> {
  readonly s3: Omit<S3StorageOptions, "credentials">;
  /** URL that answers with credentials. */
  readonly credentials: string;
}

const options = new URL(self.location.href).searchParams.get("options");
const { s3, credentials, ...rest } = JSON.parse(options ?? "{}") as TestOptions;
serveUploads({
  ...rest,
  storage: s3Storage({
    ...s3,
    async credentials(headers) {
      const response = await fetch(credentials, { headers });
      if (!response.ok) throw response;
      return response.json();
    },
  }),
});
