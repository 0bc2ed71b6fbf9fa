import { createHandler, type UploadHandler } from "../../../server/handler.ts";
import type { VirtualTime } from "../../support/virtual-time.ts";
import type { Life } from "./life.ts";
import type { Random } from "./random.ts";
import { fingerprint } from "./sim-file.ts";
import { presign, type SimS3, s3Error } from "./sim-s3.ts";

/** How an origin behaves. */
export type OriginMode =
  | { readonly type: "ok" }
  /** Each request is answered with this status; `retryAfter` in seconds. */
  | { readonly type: "status"; readonly status: number; readonly retryAfter?: number }
  /** A firewall, a portal or a gateway answers with a page of its own. */
  | { readonly type: "page"; readonly status: number }
  /** No answer ever comes. */
  | { readonly type: "hangs" }
  /** The connection is refused. */
  | { readonly type: "unreachable" }
  /** Of so many requests the answer is lost, though they are carried out. */
  | { readonly type: "losesAnswers"; readonly share: number }
  /** So many requests fail with 503 at random. */
  | { readonly type: "flaky"; readonly share: number }
  /** A gateway lets so many requests a minute pass, and answers the others with 429. */
  | { readonly type: "limits"; readonly perMinute: number }
  /** The app's server is fine, but S3 fails it with 503. */
  | { readonly type: "backendFails" };

export type Origin = "server" | "s3";

/** Who is asking, as the app's server sees it. */
export interface Sessions {
  /** Says whether these headers, with the browser's cookies, are a session. The owner's name, or why there is none. */
  check(headers: Headers): { readonly owner: string } | { readonly status: 401 | 403 };
}

export interface NetworkWatcher {
  requestStarts(request: SimRequest): void;
  /** A PUT has been carried out. */
  putStored(request: SimRequest): void;
  /** The sender has heard that S3 has the part. */
  putConfirmed(request: SimRequest): void;
  requestEnds(request: SimRequest): void;
  /** The app's server was asked to stop relaying, by its operation `release`. */
  released(body: unknown): Promise<void>;
}

/** One request of a worker's on its way. */
export interface SimRequest {
  readonly life: Life;
  readonly origin: Origin;
  readonly method: string;
  readonly url: URL;
  /** Of a POST to the app's server: what it asks for. */
  readonly operation: string;
  readonly body: unknown;
  /** Which bytes a PUT has. */
  readonly fingerprint: string;
}

export interface NetworkOptions {
  readonly time: VirtualTime;
  readonly random: Random;
  readonly s3: SimS3;
  readonly clock: { now(): number };
  readonly sessions: Sessions;
  readonly watcher: NetworkWatcher;
  /** Largest part that S3 takes to be smaller than it must be. */
  readonly minPartBytes: number;
}

export const APP_ORIGIN = "https://app.test";
const SECRET = "a secret for simulations, 32 bytes or more";

/** Everything between browsers, the app's server and S3. */
export class Network {
  isOnline = true;
  latencyMs = 40;
  /** Of one connection. */
  bytesPerMs = 1_000;
  readonly modes: Record<Origin, OriginMode> = { server: { type: "ok" }, s3: { type: "ok" } };
  readonly #options: NetworkOptions;
  readonly #handler: UploadHandler;
  readonly #cutOff = new Set<() => void>();
  /** What a gateway has let through in this minute. */
  #passed = { minute: 0, count: 0 };

  constructor(options: NetworkOptions) {
    this.#options = options;
    const { s3, sessions, minPartBytes } = options;
    this.#handler = createHandler(
      {
        client: s3.client,
        bucket: "bucket",
        secret: SECRET,
        limits: { minPartBytes },
        authorize(request, intent) {
          const session = sessions.check(request.headers);
          if ("status" in session) return new Response(null, { status: session.status });
          return { key: intent.key, owner: "" };
        },
      },
      presign,
    );
    s3.serverFault = () => (this.modes.server.type === "backendFails" ? s3Error("SlowDown", 503) : undefined);
  }

  /** Cuts the link: whatever is on its way breaks. */
  cut(): void {
    this.isOnline = false;
    for (const breakOff of [...this.#cutOff]) breakOff();
  }

  fetch(life: Life, input: string | URL | Request, init: RequestInit): Promise<Response> {
    return life.deliver(this.#exchange(life, new URL(String(input)), init));
  }

  async #exchange(life: Life, url: URL, init: RequestInit): Promise<Response> {
    // What was given up before sends nothing.
    init.signal?.throwIfAborted();
    const { watcher, random } = this.#options;
    const origin: Origin = url.origin === APP_ORIGIN ? "server" : "s3";
    const isPut = init.method === "PUT";
    const request: SimRequest = {
      life,
      origin,
      method: init.method ?? "GET",
      url,
      operation: isPut ? "put" : (url.pathname.split("/").at(-1) ?? ""),
      body: typeof init.body === "string" ? JSON.parse(init.body) : undefined,
      // A body that can't be read fails the request, as a broken network would.
      fingerprint: init.body instanceof Blob ? readFingerprint(init.body) : "",
    };
    watcher.requestStarts(request);
    try {
      const bytes = init.body instanceof Blob ? init.body.size : 500;
      await this.#travel(life, init.signal, this.latencyMs + bytes / this.bytesPerMs);
      const mode = this.modes[origin];
      if (mode.type === "hangs") await this.#travel(life, init.signal, Number.MAX_SAFE_INTEGER);
      if (mode.type === "unreachable") throw new TypeError("Failed to fetch");
      const response = await this.#answer(request, init, mode);
      if (mode.type === "losesAnswers" && random.chance(mode.share)) {
        await this.#travel(life, init.signal, this.latencyMs);
        throw new TypeError("Failed to fetch");
      }
      await this.#travel(life, init.signal, this.latencyMs);
      if (isPut && response.headers.has("etag") && life.isAlive) watcher.putConfirmed(request);
      return response;
    } finally {
      watcher.requestEnds(request);
    }
  }

  async #answer(request: SimRequest, init: RequestInit, mode: OriginMode): Promise<Response> {
    const { random, time, watcher, s3 } = this.#options;
    if (mode.type === "status") {
      const headers = mode.retryAfter ? { "retry-after": String(mode.retryAfter) } : {};
      return new Response("", { status: mode.status, headers });
    }
    if (mode.type === "page")
      return new Response("<html><body>Blocked</body></html>", {
        status: mode.status,
        headers: { "content-type": "text/html" },
      });
    if (mode.type === "limits" && !this.#isLetThrough(mode.perMinute))
      return new Response("", { status: 429 });
    if (mode.type === "flaky" && random.chance(mode.share)) return new Response("", { status: 503 });
    if (request.method === "PUT") {
      const size = init.body instanceof Blob ? init.body.size : 0;
      const { status, etag, code } = s3.put(
        request.url,
        new Headers(init.headers),
        size,
        request.fingerprint,
      );
      if (status === 200) watcher.putStored(request);
      return new Response(code ? `<Error><Code>${code}</Code></Error>` : "", {
        status,
        headers: etag ? { etag: `"${etag}"` } : {},
      });
    }
    const asked = new Request(request.url, {
      method: request.method,
      headers: init.headers ?? {},
      body: init.body as string,
    });
    const response = await time.freezeFor(this.#handler(asked));
    if (request.operation === "release" && response.ok) await watcher.released(request.body);
    return response;
  }

  #isLetThrough(perMinute: number): boolean {
    const minute = Math.floor(this.#options.time.elapsed / 60_000);
    if (this.#passed.minute !== minute) this.#passed = { minute, count: 0 };
    this.#passed.count += 1;
    return this.#passed.count <= perMinute;
  }

  /** Lets time pass for what is on the wire. Rejects if the sender gives up, or the link breaks. */
  #travel(life: Life, signal: AbortSignal | null | undefined, ms: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => {
        end();
        reject(error);
      };
      const onAbort = () => fail(new DOMException("The user aborted a request.", "AbortError"));
      const breakOff = () => fail(new TypeError("Failed to fetch"));
      const end = () => {
        undo();
        signal?.removeEventListener("abort", onAbort);
        this.#cutOff.delete(breakOff);
        undoEnd();
      };
      const undo =
        ms === Number.MAX_SAFE_INTEGER
          ? () => {}
          : this.#options.time.after(ms, () => {
              end();
              resolve();
            });
      signal?.addEventListener("abort", onAbort);
      this.#cutOff.add(breakOff);
      // A browser breaks a dead worker's requests off.
      const undoEnd = life.onEnd(breakOff);
      if (signal?.aborted) onAbort();
      else if (!this.isOnline) breakOff();
    });
  }
}

function readFingerprint(body: Blob): string {
  try {
    return fingerprint(body);
  } catch {
    throw new TypeError("Failed to fetch");
  }
}
