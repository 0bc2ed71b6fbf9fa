import { connectUploads } from "backhaul";

// Each test chooses: the worker's options stand in the page's own query, the page's behind the #.
const options = JSON.parse(decodeURIComponent(location.hash.slice(1)) || "{}") as object;
Object.assign(globalThis, {
  uploads: await connectUploads({ worker: `/sw.js${location.search}`, ...options }),
});
