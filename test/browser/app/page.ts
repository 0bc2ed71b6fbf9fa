import { connectUploads } from "backhaul";

interface TestOptions {
  /** URL that answers with headers for the app's server. */
  readonly authFrom?: string;
}

// Each test chooses: the worker's options stand in the page's own query, the page's behind the #.
const { authFrom, ...options } = JSON.parse(
  decodeURIComponent(location.hash.slice(1)) || "{}",
) as TestOptions;
const auth = authFrom ? { auth: async () => (await fetch(authFrom)).json() } : {};
Object.assign(globalThis, {
  uploads: await connectUploads({ worker: `/sw.js${location.search}`, ...options, ...auth }),
});
