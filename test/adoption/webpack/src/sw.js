import { httpStorage, serveUploads } from "backhaul/sw";

serveUploads({ storage: httpStorage({ endpoint: "/uploads" }) });

self.addEventListener("install", () => self.skipWaiting());
