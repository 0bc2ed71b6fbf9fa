import type { PageEventType, PagePlatform } from "./platform.ts";

/** Beyond this, `setTimeout` overflows and fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The browser that this page is shown in. */
export function createBrowserPlatform(registration: ServiceWorkerRegistration): PagePlatform {
  return {
    clock: {
      now: () => Date.now(),
      after(ms, callback) {
        const timer = setTimeout(callback, Math.min(ms, LONGEST_TIMER_MS));
        return () => clearTimeout(timer);
      },
      every(ms, callback) {
        const timer = setInterval(callback, ms);
        return () => clearInterval(timer);
      },
    },
    uuid: () => crypto.randomUUID(),
    worker: {
      scope: registration.scope,
      post: (message) => registration.active?.postMessage(message),
      onMessage(listener) {
        const { serviceWorker } = navigator;
        const receive = ({ data, source }: MessageEvent) =>
          listener(data, (answer) => (source as ServiceWorker | null)?.postMessage(answer));
        serviceWorker.addEventListener("message", receive);
        // Browsers hold messages back from `addEventListener` until `startMessages` is called.
        serviceWorker.startMessages();
        return () => serviceWorker.removeEventListener("message", receive);
      },
      update: () => void registration.update().catch(() => {}),
      canSync: registration.sync !== undefined,
      registerSync: async (tag) => registration.sync?.register(tag),
    },
    locks: {
      hold: async (name, { mode, signal }, work) => {
        await navigator.locks.request(name, { mode, signal }, work);
      },
    },
    backgroundFetch: registration.backgroundFetch,
    openChannel(name, listener) {
      const channel = new BroadcastChannel(name);
      channel.onmessage = ({ data }) => listener(data);
      return { close: () => channel.close() };
    },
    on(type, listener) {
      const [target, name] = sourceOf(type);
      const receive = (event: Event) => {
        if (type === "visible" && document.visibilityState !== "visible") return;
        listener({ isPersisted: event instanceof PageTransitionEvent && event.persisted });
      };
      target?.addEventListener(name, receive);
      return () => target?.removeEventListener(name, receive);
    },
    persistStorage: () => void navigator.storage?.persist?.().catch(() => {}),
  };
}

/** Who fires it, under which name. */
function sourceOf(type: PageEventType): readonly [target: EventTarget | undefined, name: string] {
  switch (type) {
    case "networkchange":
      return [navigator.connection, "change"];
    case "visible":
      return [document, "visibilitychange"];
    case "resume":
      return [document, type];
    default:
      return [window, type];
  }
}
