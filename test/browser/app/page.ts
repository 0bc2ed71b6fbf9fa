import { connectUploads } from "backhaul";

// The worker's options stand in the page's own query, so that each test can choose them.
Object.assign(globalThis, { uploads: await connectUploads({ worker: `/sw.js${location.search}` }) });
