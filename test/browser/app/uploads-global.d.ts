import type { Uploads } from "backhaul";

declare global {
  /** What the usage page connects. */
  var uploads: Uploads;
}
