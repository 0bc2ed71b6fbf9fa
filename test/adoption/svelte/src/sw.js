import { httpStorage, serveUploads } from "backhaul/sw";
import { precacheAndRoute } from "workbox-precaching";

precacheAndRoute(self.__WB_MANIFEST);
serveUploads({ storage: httpStorage({ endpoint: "/uploads" }) });
self.addEventListener("install", () => self.skipWaiting());
