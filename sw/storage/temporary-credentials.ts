import * as v from "valibot";
import { classifyStatus, parseRetryAfter } from "../../src/core/outcome.ts";
import { StorageFault } from "../../src/core/storage.ts";
import type { Clock } from "../platform/index.ts";

const text = v.pipe(v.string(), v.regex(/^[\x21-\x7e]+$/));
const schema = v.object({
  accessKeyId: text,
  secretAccessKey: text,
  // Credentials without a session token are a user's permanent keys, which have no place in a browser.
  sessionToken: text,
  expiration: v.union([v.date(), v.pipe(v.string(), v.isoTimestamp(), v.toDate())]),
});
export type Credentials = v.InferOutput<typeof schema>;

/** Temporary credentials, as STS returns them for `AssumeRole` and the like. */
export interface TemporaryCredentials {
  /** The id of the access key. */
  readonly accessKeyId: string;
  /** The secret of the access key. */
  readonly secretAccessKey: string;
  /** The session's token, without which they would not be temporary. */
  readonly sessionToken: string;
  /** When they expire: a `Date`, or text as in JSON, in ISO 8601 with a time zone. */
  readonly expiration: Date | string;
}

/**
 * Fetches credentials from the app's server. Called with the headers that `uploads.setAuth` gave, and again before the
 * credentials expire or when S3 has refused them; never while another call is under way.
 *
 * It may throw a `Response`, or an error with a `status`: with 401 or 403, uploads wait for `setAuth`. After anything else that
 * it throws, it is called again later.
 */
export type FetchCredentials = (headers: Readonly<Record<string, string>>) => Promise<TemporaryCredentials>;

const TIMEOUT_MS = 30_000;
/** Signatures die with their credentials, so those are renewed while a part can still be sent with them. */
const RENEWED_BEFORE_MS = 300_000;

/** The app's temporary credentials, in memory only, renewed before they expire. */
export class CredentialSource {
  readonly #ask: FetchCredentials;
  readonly #clock: Clock;
  #headers: Readonly<Record<string, string>> = {};
  #current: { readonly credentials: Credentials; readonly renewAt: number } | undefined;
  #coming: Promise<Credentials> | undefined;

  constructor(ask: FetchCredentials, clock: Clock) {
    this.#ask = ask;
    this.#clock = clock;
  }

  /** @throws {StorageFault} unauthorized, network, transient */
  async get(): Promise<Credentials> {
    if (this.#current && this.#clock.now() < this.#current.renewAt) return this.#current.credentials;
    if (this.#coming) return this.#coming;
    const coming = this.#renew();
    this.#coming = coming;
    try {
      return await coming;
    } finally {
      if (this.#coming === coming) this.#coming = undefined;
    }
  }

  /** Forgets these credentials: S3 may have refused them. */
  drop(credentials: Credentials): void {
    if (this.#current?.credentials === credentials) this.#current = undefined;
  }

  /** Replaces the headers. Credentials from before may belong to another user. */
  setHeaders(headers: Readonly<Record<string, string>>): void {
    this.#headers = headers;
    this.#current = undefined;
    this.#coming = undefined;
  }

  async #renew(): Promise<Credentials> {
    const headers = this.#headers;
    const credentials = checked(await settle(this.#ask, headers, this.#clock));
    const expiresAt = credentials.expiration.getTime();
    const lifetimeMs = expiresAt - this.#clock.now();
    if (lifetimeMs <= 0)
      throw new StorageFault("transient", "SERVER_RESPONSE_INVALID", {
        detail: "the credentials have already expired by this device's clock",
      });
    if (this.#headers === headers)
      this.#current = { credentials, renewAt: expiresAt - Math.min(RENEWED_BEFORE_MS, lifetimeMs / 2) };
    return credentials;
  }
}

/** Nothing of the app's promise may hold an upload up for ever. */
function settle(
  ask: FetchCredentials,
  headers: Readonly<Record<string, string>>,
  clock: Clock,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const undo = clock.after(TIMEOUT_MS, () =>
      reject(new StorageFault("network", "NETWORK", { detail: "fetching the credentials took too long" })),
    );
    // Calling it within `then` catches an error that it throws at once as well.
    Promise.resolve()
      .then(() => ask(headers))
      .then(resolve, (error: unknown) => reject(toFault(error, clock.now())))
      .finally(undo);
  });
}

function checked(answer: unknown): Credentials {
  const parsed = v.safeParse(schema, answer);
  if (parsed.success) return parsed.output;
  // The issue's message would quote the value that it found, which may be a secret.
  const place = v.getDotPath(parsed.issues[0]) ?? "the whole";
  throw new StorageFault("transient", "SERVER_RESPONSE_INVALID", {
    detail: `credentials: ${place} is missing or invalid`,
  });
}

function toFault(error: unknown, now: number): StorageFault {
  const status = statusOf(error);
  if (status === 401 || status === 403)
    return new StorageFault("unauthorized", "UNAUTHORIZED", { detail: String(status), cause: error });
  if (status !== undefined) {
    const retryAfter = error instanceof Response ? error.headers.get("retry-after") : null;
    return classifyStatus({ status, retryAfterMs: parseRetryAfter(retryAfter, now) });
  }
  if (isNetworkError(error)) return new StorageFault("network", "NETWORK", { cause: error });
  return new StorageFault("transient", "SERVER_ERROR", {
    detail: "the app returned no credentials",
    cause: error,
  });
}

function statusOf(error: unknown): number | undefined {
  if (typeof error !== "object" || error === null || !("status" in error)) return undefined;
  return typeof error.status === "number" && error.status >= 400 ? error.status : undefined;
}

/** Each browser has words of its own for a `fetch` that failed; a mistake in the app's function is a TypeError too. */
function isNetworkError(error: unknown): boolean {
  if (!(error instanceof Error || error instanceof DOMException)) return false;
  if (/^(Abort|Timeout|Network)Error$/.test(error.name)) return true;
  return (
    error instanceof TypeError &&
    /failed to fetch|network|load failed|connection|body stream/i.test(error.message)
  );
}
