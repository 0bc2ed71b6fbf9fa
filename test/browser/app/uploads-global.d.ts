import type { Uploads } from "backhaul";

declare global {
  /** The uploads that the usage page connects to. */
  var uploads: Uploads;
}
