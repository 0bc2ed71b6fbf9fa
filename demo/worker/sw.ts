import { httpStorage, serveUploads } from "backhaul/sw";
import { TraceLog } from "./trace-log.ts";

declare const self: ServiceWorkerGlobalScope;
/** Every file of the built page, as the build has found them. */
declare const SHELL: readonly string[];

const CACHE = "shell";

// A new version takes over at once: uploads go on in it, and the demo has nothing else to lose.
self.addEventListener("install", (event) => {
  const keepShell = async () => {
    await (await caches.open(CACHE)).addAll(SHELL);
    await self.skipWaiting();
  };
  event.waitUntil(keepShell());
});

// The page opens without a network, too, so that files can be added there.
self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !SHELL.includes(new URL(request.url).pathname)) return;
  event.respondWith(
    fetch(request).catch(async (error: unknown) => {
      const kept = await caches.match(request, { cacheName: CACHE, ignoreSearch: true });
      if (kept) return kept;
      throw error;
    }),
  );
});

const trace = new TraceLog();
serveUploads({ storage: httpStorage({ endpoint: "/uploads" }), trace: (event) => trace.add(event) });
