import type { Platform } from "./platform.ts";

declare const self: ServiceWorkerGlobalScope;

/** Beyond this, `setTimeout` overflows and fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The browser that this worker runs in. Nothing is read from it before it is needed, so that importing this is harmless. */
export const browserPlatform: Platform = {
  clock: {
    now: () => Date.now(),
    elapsed: () => performance.now(),
    msOfDay() {
      const date = new Date();
      const minutes = date.getHours() * 60 + date.getMinutes();
      return (minutes * 60 + date.getSeconds()) * 1_000 + date.getMilliseconds();
    },
    after(ms, callback) {
      const timer = setTimeout(callback, Math.min(ms, LONGEST_TIMER_MS));
      return () => clearTimeout(timer);
    },
    every(ms, callback) {
      const timer = setInterval(callback, ms);
      return () => clearInterval(timer);
    },
  },
  random: () => Math.random(),
  uuid: () => crypto.randomUUID(),
  sha256: async (text) =>
    new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))),
  fetch: (input, init) => fetch(input, init),
  network: {
    get isOnline() {
      return navigator.onLine;
    },
    get connection() {
      return navigator.connection;
    },
    onChange(callback) {
      self.addEventListener("online", callback);
      navigator.connection?.addEventListener("change", callback);
    },
  },
  locks: {
    hold: async (name, work) => {
      await navigator.locks.request(name, work);
    },
    async holders(name) {
      const { held = [] } = await navigator.locks.query();
      return held.filter((lock) => lock.name === name).map(({ clientId = "" }) => clientId);
    },
  },
  clients: {
    windows: () => self.clients.matchAll({ type: "window", includeUncontrolled: true }),
  },
  cookies: {
    async get(name) {
      return (await self.cookieStore.get(name))?.value;
    },
    set: (name, value, expires) =>
      self.cookieStore.set({ name, value, expires, path: "/", sameSite: "strict" }),
  },
  worker: {
    get scope() {
      return self.registration.scope;
    },
    get url() {
      return self.location.href;
    },
    get hasWaitingVersion() {
      return self.registration.waiting !== null;
    },
    onNewVersion(callback) {
      self.registration.addEventListener("updatefound", () => {
        self.registration.installing?.addEventListener("statechange", callback);
      });
    },
  },
  get backgroundFetch() {
    return self.registration.backgroundFetch;
  },
  openChannel(name) {
    const channel = new BroadcastChannel(name);
    return { post: (message) => channel.postMessage(message), close: () => channel.close() };
  },
  // Safari has it since version 17.
  storageEstimate: async () => (await navigator.storage?.estimate?.()) ?? {},
  // TypeScript knows no `periodicsync`.
  on: (type, listener) => self.addEventListener(type, listener as (event: Event) => void),
};
