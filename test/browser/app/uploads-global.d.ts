import type { connectUploads as connect, Uploads } from "backhaul";

declare global {
  /** The uploads that the usage page connects to. */
  var uploads: Uploads;
  /** What the bare page leaves to the test. */
  var connectUploads: typeof connect;
}
