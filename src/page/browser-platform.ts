import type { PageEventType, PagePlatform } from "./platform.ts";

/** Beyond this, `setTimeout` overflows and fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * The browser that this page is shown in.
 *
 * @param type how the worker's script is loaded
 */
export function createBrowserPlatform(
  first: ServiceWorkerRegistration,
  type: WorkerType = "classic",
): PagePlatform {
  let registration = first;
  const { scope } = first;
  const script = first.active?.scriptURL;
  /** All versions of this registration's worker that there were while this page lived. */
  const own = new WeakSet<object>();
  const noteWorkers = () => {
    const { installing, waiting, active } = registration;
    for (const worker of [installing, waiting, active]) if (worker) own.add(worker);
  };
  const follow = () => {
    noteWorkers();
    registration.addEventListener("updatefound", noteWorkers);
  };
  follow();
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
      scope,
      post: (message) => registration.active?.postMessage(message),
      onMessage(listener) {
        const { serviceWorker } = navigator;
        const receive = ({ data, source }: MessageEvent) => {
          noteWorkers();
          // A worker can write to all pages of its origin, those of other apps too.
          if (source && own.has(source))
            listener(data, (answer) => (source as ServiceWorker).postMessage(answer));
        };
        serviceWorker.addEventListener("message", receive);
        // Browsers hold messages back from `addEventListener` until `startMessages` is called.
        serviceWorker.startMessages();
        return () => serviceWorker.removeEventListener("message", receive);
      },
      get successor() {
        if (registration.installing) return "installing";
        return registration.waiting ? "waiting" : "none";
      },
      update: async () => void (await registration.update()),
      async restore() {
        const { serviceWorker } = navigator;
        // It may be another one's, of a wider scope.
        if ((await serviceWorker.getRegistration(scope))?.scope === scope || script === undefined) return;
        registration = await serviceWorker.register(script, { scope, type });
        follow();
      },
      canSync: registration.sync !== undefined,
      registerSync: async (tag) => registration.sync?.register(tag),
      async registerPeriodicSync(tag, minInterval) {
        const { periodicSync } = registration as PeriodicSyncRegistration;
        await periodicSync?.register(tag, { minInterval });
      },
    },
    locks: {
      hold: async (name, { mode, signal }, work) => {
        await navigator.locks.request(name, { mode, signal }, work);
      },
    },
    backgroundFetch: registration.backgroundFetch,
    isMobile: isMobile(),
    fetch: (url, init) => fetch(url, init),
    openChannel(name, listener) {
      const channel = new BroadcastChannel(name);
      channel.onmessage = ({ data }) => listener(data);
      return { close: () => channel.close() };
    },
    on(type, listener) {
      const [target, name] = sourceOf(type);
      const receive = (event: Event) => {
        if (name === "visibilitychange" && document.visibilityState !== type) return;
        listener({ isPersisted: event instanceof PageTransitionEvent && event.persisted });
      };
      target?.addEventListener(name, receive);
      return () => target?.removeEventListener(name, receive);
    },
    yieldThread,
    persistStorage: () => void navigator.storage?.persist?.().catch(() => {}),
  };
}

function yieldThread(): Promise<void> {
  const { scheduler } = globalThis as SchedulerGlobal;
  if (scheduler?.yield) return scheduler.yield();
  // A message, since browsers hold timers back that follow one another.
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

/** Not every browser has it. */
interface SchedulerGlobal {
  readonly scheduler?: { yield?(): Promise<void> };
}

/** Who fires it, under which name. */
function sourceOf(type: PageEventType): readonly [target: EventTarget | undefined, name: string] {
  switch (type) {
    case "networkchange":
      return [navigator.connection, "change"];
    case "visible":
    case "hidden":
      return [document, "visibilitychange"];
    case "resume":
    case "freeze":
      return [document, type];
    default:
      return [window, type];
  }
}

/** Browsers that don't say it have no Background Fetch either. Tablets don't count as mobile to Chromium. */
function isMobile(): boolean {
  const { userAgentData } = navigator as NavigatorUserAgentData;
  return userAgentData?.mobile === true || userAgentData?.platform === "Android";
}

interface NavigatorUserAgentData {
  readonly userAgentData?: { readonly mobile: boolean; readonly platform: string };
}

/** Chromium's Periodic Background Sync, for apps that are installed. */
interface PeriodicSyncRegistration {
  readonly periodicSync?: {
    register(tag: string, options: { readonly minInterval: number }): Promise<void>;
  };
}

/** How a worker's script is served. */
export interface ScriptAnswer {
  readonly isRedirect: boolean;
  readonly status: number;
  /** `Content-Type`. */
  readonly type: string;
  /** `Service-Worker-Allowed`, a path; null if there is none. */
  readonly scopeAllowed: string | null;
}

/** Fetches a script that the browser would not register, to see why. Undefined if no answer came. */
export async function scriptAnswer(url: URL): Promise<ScriptAnswer | undefined> {
  try {
    const { type, status, headers, body } = await fetch(url, { redirect: "manual", cache: "no-store" });
    void body?.cancel().catch(() => {});
    return {
      isRedirect: type === "opaqueredirect",
      status,
      type: headers.get("content-type") ?? "",
      scopeAllowed: headers.get("service-worker-allowed"),
    };
  } catch {
    return undefined;
  }
}

/** Listens whether the page's Content Security Policy blocks a worker's script, and by which of its directives. */
export function blockedByPolicy(): { directive(): string | undefined; stop(): void } {
  let directive: string | undefined;
  const note = ({ effectiveDirective }: SecurityPolicyViolationEvent) => {
    if (/^(worker|child|script|default)-src/.test(effectiveDirective)) directive = effectiveDirective;
  };
  document.addEventListener("securitypolicyviolation", note);
  return {
    directive: () => directive,
    stop: () => document.removeEventListener("securitypolicyviolation", note),
  };
}
