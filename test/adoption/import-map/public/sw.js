importScripts("/backhaul/standalone/backhaul-sw.js"); // defines `backhaul`
backhaul.serveUploads({ storage: backhaul.httpStorage({ endpoint: "/uploads" }) });
self.addEventListener("install", () => self.skipWaiting());
