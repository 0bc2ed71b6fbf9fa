import {
  crc32c,
  crc64nvme,
  type HttpStorageOptions,
  httpStorage,
  md5,
  noChecksum,
  type ServeUploadsOptions,
  serveUploads,
  sha256,
} from "backhaul/sw";

declare const self: ServiceWorkerGlobalScope;

self.addEventListener("install", () => void self.skipWaiting());

const algorithms = { md5, crc32c, crc64nvme, sha256, none: noChecksum };

/** Each test chooses them in the page's own query. */
interface TestOptions
  extends Partial<Omit<ServeUploadsOptions, "checksum">>,
    Partial<Pick<HttpStorageOptions, "relay" | "timeoutMs">> {
  readonly checksum?: keyof typeof algorithms;
}

const options = new URL(self.location.href).searchParams.get("options");
const { relay = true, timeoutMs, checksum = "md5", ...rest } = JSON.parse(options ?? "{}") as TestOptions;
serveUploads({
  ...rest,
  checksum: algorithms[checksum],
  storage: httpStorage({ endpoint: "/uploads", relay, ...(timeoutMs ? { timeoutMs } : {}) }),
});
