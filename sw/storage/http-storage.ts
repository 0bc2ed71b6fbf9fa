import * as v from "valibot";
import {
  abortAnswer,
  beginAnswer,
  completeAnswer,
  errorAnswer,
  type Operation,
  partsAnswer,
  signAnswer,
} from "../../src/core/http-api.ts";
import { classifyStatus } from "../../src/core/outcome.ts";
import { StorageFault, type UploadStorage } from "../../src/core/storage.ts";
import { type Platform, postJson } from "../platform/index.ts";

/** The storage behind the app's own server, which runs `createUploadHandler` of `backhaul/server`. */
export interface HttpStorageOptions {
  /** URL of the handler, absolute or relative to the worker's script. */
  readonly endpoint: string;
  /**
   * Whether that handler may relay bytes, so that the browser itself can carry uploads on once no page is left. It can
   * only do so where the endpoint is of the worker's own origin.
   * @default true
   */
  readonly relay?: boolean;
  /**
   * How long the server may take to answer, in milliseconds; eight times as long to complete, since S3 may take minutes to
   * put 10,000 parts together.
   * @default 30000
   */
  readonly timeoutMs?: number;
}

/** A storage that sends headers of the app's with each request, as `uploads.setAuth` gave them. They are kept in memory only. */
export interface AuthorizedStorage extends UploadStorage {
  setAuth(headers: Readonly<Record<string, string>>): void;
  /** Base URL of the relay; null if there is none. */
  readonly relay: string | null;
}

const TIMEOUT_MS = 30_000;
const COMPLETE_TIMES = 8;

export function createHttpStorage(
  { endpoint, relay = true, timeoutMs = TIMEOUT_MS }: HttpStorageOptions,
  platform: Pick<Platform, "clock" | "fetch" | "worker">,
): AuthorizedStorage {
  const base = new URL(endpoint.endsWith("/") ? endpoint : `${endpoint}/`, platform.worker.url);
  let auth: Readonly<Record<string, string>> = {};

  async function call<T>(
    operation: Operation,
    body: unknown,
    schema: v.GenericSchema<unknown, T>,
  ): Promise<T> {
    const usedAuth = auth;
    const answer = await postJson(platform, new URL(operation, base), body, {
      headers: auth,
      timeoutMs: operation === "complete" ? timeoutMs * COMPLETE_TIMES : timeoutMs,
    });
    // The user has signed in while it was on its way; nobody would say so again.
    if (answer.status === 401 && usedAuth !== auth) return call(operation, body, schema);
    if (answer.status !== 200) throw faultOf(answer);
    const parsed = v.safeParse(schema, answer.json);
    if (!parsed.success)
      throw new StorageFault("transient", "SERVER_RESPONSE_INVALID", {
        detail: `${operation}: ${parsed.issues[0].message}`,
      });
    return parsed.output;
  }

  function faultOf(answer: Awaited<ReturnType<typeof postJson>>): StorageFault {
    const parsed = v.safeParse(errorAnswer, answer.json);
    if (!parsed.success) return classifyStatus(answer);
    const { kind, code, detail } = parsed.output.error;
    const { retryAfterMs } = answer;
    return new StorageFault(kind, code, {
      detail,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
  }

  return {
    relay: relay && base.origin === new URL(platform.worker.url).origin ? base.href : null,
    setAuth(headers) {
      auth = headers;
    },
    begin: (intent) => call("begin", intent, beginAnswer),
    async sign(token, wanted) {
      const { parts } = await call("sign", { token, parts: wanted }, signAnswer);
      return parts;
    },
    uploadedParts: (token, after) => call("parts", { token, after }, partsAnswer),
    complete: (token, parts) => call("complete", { token, parts }, completeAnswer),
    async abort(token) {
      await call("abort", { token }, abortAnswer);
    },
  };
}
