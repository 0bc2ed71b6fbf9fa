import * as v from "valibot";
import { check } from "../../src/core/check.ts";
import {
  abortAnswer,
  beginAnswer,
  beginManyAnswer,
  completeAnswer,
  type ErrorAnswer,
  errorAnswer,
  type Operation,
  partsAnswer,
  signAnswer,
} from "../../src/core/http-api.ts";
import { checksumLines, etagLines, type ListedParts } from "../../src/core/listed-parts.ts";
import { classifyStatus } from "../../src/core/outcome.ts";
import {
  type BeginIntent,
  MAX_BEGUN_TOGETHER,
  type PartReceipt,
  StorageFault,
  type UploadStorage,
} from "../../src/core/storage.ts";
import { type JsonAnswer, type Platform, postJson } from "../platform/index.ts";

/** Where the app's own server is, and how it is called. It runs `createUploadHandler` of `backhaul/server`. */
export interface HttpStorageOptions {
  /** URL of the upload handler, absolute or relative to the worker's script. */
  readonly endpoint: string;
  /**
   * Whether the handler may relay bytes, so that uploads can be handed over to the browser (Background Fetch) once no page is
   * left. Takes effect only where the endpoint is of the worker's own origin.
   * @default true
   */
  readonly relay?: boolean;
  /**
   * How long the server may take to answer, in milliseconds; eight times as long to complete, since S3 may take minutes to
   * put 10,000 parts together. 1 to 3,600,000.
   * @default 30000
   */
  readonly timeoutMs?: number;
  /**
   * Whether cookies go along, as with `fetch`. With "include" and a server on another origin, that server must answer with
   * `Access-Control-Allow-Credentials: true` and name the app's origin in `Access-Control-Allow-Origin`.
   * @default "same-origin"
   */
  readonly credentials?: RequestCredentials;
}

/** A storage that uses the app's headers, as pages gave them, with each request. They are kept in memory only. */
export interface AuthorizedStorage extends UploadStorage {
  /** Replaces the headers; undefined drops them, as after a change of user. */
  setAuth(headers: Headers | undefined): void;
  /** Sets where headers can be asked for. */
  useAuthSource(source: AuthSource): void;
  /** Base URL of the relay, which passes bytes on to S3; null if there is none. */
  readonly relay: string | null;
}

/** Values by the names of their headers. */
type Headers = Readonly<Record<string, string>>;

/** Asks pages for headers, where none were given yet or the server does not accept them any more. */
interface AuthSource {
  /** Whether a page has given headers to this or an earlier worker, so that requests without any would be refused. */
  isExpected(): boolean;
  /** Asks pages and resolves once one has answered, or none has in time. */
  ask(): Promise<void>;
}

const TIMEOUT_MS = 30_000;
const LONGEST_TIMEOUT_MS = 3_600_000;
const COMPLETE_TIMES = 8;
/** A receipt has up to 430 bytes of JSON, most some 120, and body parsers take 100 kB by default. */
const MOST_SENT_PARTS = 200;
/** Headers that are tried while a call is under way, should pages give new ones again and again. */
const MOST_SIGN_INS = 3;
/** The server reads 64 KiB of JSON, and a character may have three bytes there. */
const MOST_BEGUN_CHARACTERS = 20_000;
/** What the server may allow an upload's own token with nobody signed in: to see what S3 has, to send the rest, to complete. */
const BY_TOKEN_ALONE: ReadonlySet<Operation> = new Set(["sign", "parts", "complete"]);

const optionsSchema = v.object({
  relay: v.boolean(),
  timeoutMs: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(LONGEST_TIMEOUT_MS)),
  credentials: v.picklist(["omit", "same-origin", "include"] satisfies RequestCredentials[]),
});

/**
 * @throws {TypeError} if `endpoint` is no URL
 * @throws {UploadError} `OPTION_INVALID`
 */
export function createHttpStorage(
  { endpoint, relay = true, timeoutMs = TIMEOUT_MS, credentials = "same-origin" }: HttpStorageOptions,
  platform: Pick<Platform, "clock" | "fetch" | "worker" | "sha256">,
): AuthorizedStorage {
  check(optionsSchema, { relay, timeoutMs, credentials });
  const base = new URL(endpoint.endsWith("/") ? endpoint : `${endpoint}/`, platform.worker.url);
  let auth: Headers | undefined;
  let source: AuthSource = { isExpected: () => false, ask: async () => {} };
  let isUnattended = false;

  /** @throws {StorageFault} */
  async function call<T>(
    operation: Operation,
    body: object,
    schema: v.GenericSchema<unknown, T>,
  ): Promise<T> {
    // Without the headers that this app usually gives, a refusal would say nothing.
    if (auth === undefined && source.isExpected()) await source.ask();
    const usedAuth = auth;
    let byTokenAlone = auth === undefined && source.isExpected();
    let answer = await (byTokenAlone ? sendByTokenAlone(operation, body) : send(operation, body));
    if (!byTokenAlone && isSignInWanted(answer)) {
      // The user may have signed in meanwhile, or a page may have newer headers.
      if (auth === usedAuth) await source.ask();
      byTokenAlone = auth === usedAuth;
      // Whoever is refused may have signed out, and sends no more bytes.
      if (byTokenAlone && operation === "sign") throw signInFirst();
      answer = await (byTokenAlone ? sendByTokenAlone : sendAsLatestUser)(operation, body);
    }
    isUnattended = byTokenAlone;
    if (answer.status !== 200) throw faultOf(answer);
    const parsed = v.safeParse(schema, answer.json);
    if (!parsed.success)
      throw new StorageFault("transient", "SERVER_RESPONSE_INVALID", {
        detail: `${operation}: ${parsed.issues[0].message}`,
      });
    return parsed.output;
  }

  /** @throws {StorageFault} `unauthorized`, if the operation or the server wants a user */
  async function sendByTokenAlone(operation: Operation, body: object): Promise<JsonAnswer> {
    if (!BY_TOKEN_ALONE.has(operation)) throw signInFirst();
    const answer = await send(operation, { ...body, unattended: true });
    // A 403 may be a middleware's that misses a header which pages give.
    if (isSignInWanted(answer) || answer.status === 403) throw signInFirst();
    return answer;
  }

  /** A refusal is of the headers that were sent: if a page has given others meanwhile, they are tried. */
  async function sendAsLatestUser(operation: Operation, body: object): Promise<JsonAnswer> {
    for (let tries = 1; ; tries++) {
      const sent = JSON.stringify(auth);
      const answer = await send(operation, body);
      if (!isSignInWanted(answer) || JSON.stringify(auth) === sent || tries === MOST_SIGN_INS) return answer;
    }
  }

  function send(operation: Operation, body: unknown): Promise<JsonAnswer> {
    return postJson(platform, new URL(operation, base), body, {
      headers: auth ?? {},
      credentials,
      timeoutMs: operation === "complete" ? timeoutMs * COMPLETE_TIMES : timeoutMs,
    });
  }

  function faultOf(answer: JsonAnswer): StorageFault {
    if (answer.isRedirect) return signInFirst();
    const parsed = v.safeParse(errorAnswer, answer.json);
    return parsed.success ? toFault(parsed.output, answer.retryAfterMs) : classifyStatus(answer);
  }

  /** The parts by digests. Receipts are ascending. */
  async function listedParts(parts: readonly PartReceipt[]): Promise<ListedParts> {
    const sha256 = async (text: string) => btoa(String.fromCharCode(...(await platform.sha256(text))));
    const canBeTold = parts.every(({ checksum }) => checksum !== null) && !areETagsOpaque(parts);
    return {
      count: parts.length,
      etags: await sha256(etagLines(parts)),
      checksums: canBeTold ? await sha256(checksumLines(parts)) : null,
    };
  }

  return {
    get isUnattended() {
      return isUnattended;
    },
    relay: relay && base.origin === new URL(platform.worker.url).origin ? base.href : null,
    setAuth(headers) {
      auth = headers;
    },
    useAuthSource(given) {
      source = given;
    },
    begin: (intent) => call("begin", intent, beginAnswer),
    async beginMany(intents) {
      const uploads = fittingInOneRequest(intents);
      const answer = await call("begin-many", { uploads }, beginManyAnswer);
      return answer.uploads.map((begun) => ("error" in begun ? toFault(begun) : begun));
    },
    async sign(token, wanted) {
      const { parts } = await call("sign", { token, parts: wanted }, signAnswer);
      return parts;
    },
    uploadedParts: (token, after) => call("parts", { token, after }, partsAnswer),
    async complete(token, parts) {
      const body =
        parts.length > MOST_SENT_PARTS ? { token, listed: await listedParts(parts) } : { token, parts };
      return call("complete", body, completeAnswer);
    },
    async abort(token) {
      await call("abort", { token }, abortAnswer);
    },
  };
}

function toFault({ error }: ErrorAnswer, retryAfterMs?: number): StorageFault {
  const { kind, code, detail } = error;
  return new StorageFault(kind, code, { detail, ...(retryAfterMs !== undefined && { retryAfterMs }) });
}

/** The first of them, and at least one. */
function fittingInOneRequest(intents: readonly BeginIntent[]): readonly BeginIntent[] {
  let characters = 0;
  const most = intents.slice(0, MAX_BEGUN_TOGETHER);
  const over = most.findIndex((intent) => {
    characters += JSON.stringify(intent).length;
    return characters > MOST_BEGUN_CHARACTERS;
  });
  return over === -1 ? most : most.slice(0, Math.max(1, over));
}

/** The app's server wants to know who this is. A redirect is how many an app says so: to the page where users sign in. */
function isSignInWanted({ status, isRedirect }: JsonAnswer): boolean {
  return status === 401 || isRedirect;
}

function signInFirst(): StorageFault {
  return new StorageFault("unauthorized", "UNAUTHORIZED");
}

/** MD5s, none of which S3 has as an ETag (SSE-KMS): its list says nothing of them. Where it has some, it has other bytes. */
function areETagsOpaque(parts: readonly PartReceipt[]): boolean {
  const digests = parts.map(({ checksum }) => atob(checksum ?? ""));
  const isMd5 = digests.every(({ length }) => length === MD5_BYTES);
  return isMd5 && !parts.some(({ etag }, index) => etag.toLowerCase() === hexOfBinary(digests[index] ?? ""));
}

const MD5_BYTES = 16;

function hexOfBinary(binary: string): string {
  return Array.from(binary, (byte) => byte.charCodeAt(0).toString(16).padStart(2, "0")).join("");
}
