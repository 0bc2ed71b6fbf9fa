import { connectUploads } from "backhaul";

// For tests of the connection itself.
Object.assign(globalThis, { connectUploads });
