/** The browser's own transfers (Background Fetch): which are under way, taking them back, and what has arrived. */

export { BackgroundFetches } from "./background-fetches.ts";
