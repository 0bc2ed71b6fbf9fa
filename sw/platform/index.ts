/** The outside world, as far as the worker touches it, and HTTP over it. */

export type {
  BackgroundFetchEvent,
  BackgroundFetchRecord,
  BackgroundFetchRegistration,
} from "./background-fetch-types.ts";
export { browserPlatform } from "./browser-platform.ts";
export type { Channel, Clock, PageClient, Platform } from "./platform.ts";
export { sleep } from "./sleep.ts";
export {
  fetchWhole,
  type JsonAnswer,
  type PutAnswer,
  postJson,
  putPart,
  type Transport,
} from "./transport.ts";
