import { Workbox } from "workbox-window";
import { explained } from "../core/error-messages.ts";
import type { UploadError } from "../core/errors.ts";
import { blockedByPolicy, type ScriptAnswer, scriptAnswer } from "./browser-platform.ts";

/**
 * What `TrustedTypePolicy.createScriptURL` returns, as pages whose Content Security Policy requires Trusted Types must pass.
 */
export interface TrustedScript {
  /** The script's URL. */
  toString(): string;
  /** The script's URL. */
  toJSON(): string;
}

/** The worker's script and how it is registered. */
export interface WorkerScript {
  /** URL of the worker's script, which calls `serveUploads`. It is registered if it is not yet. */
  readonly worker: string | TrustedScript;
  /** Pages that the worker is for. @default the script's folder */
  readonly scope?: string;
  /** How the script is loaded. @default "classic" */
  readonly type?: WorkerType;
}

/** @throws {UploadError} `NOT_SUPPORTED`, `WORKER_REFUSED`, `WORKER_SCRIPT_INVALID`, with the cause and its remedy */
export async function registerWorker(script: WorkerScript): Promise<ServiceWorkerRegistration> {
  const { worker, scope, type } = script;
  const workbox = new Workbox(worker as string, { ...(scope && { scope }), ...(type && { type }) });
  const policy = blockedByPolicy();
  try {
    // At once: an upload that was cut off should not wait for the page's images.
    const registration = await workbox.register({ immediate: true });
    if (registration) return registration;
  } catch (cause) {
    throw await registrationError(script, cause, () => policy.directive());
  } finally {
    policy.stop();
  }
  throw explained({ code: "NOT_SUPPORTED", detail: "" });
}

/** Browsers name the cause each in their own way, or not at all; so it is looked for. */
async function registrationError(
  { worker, scope }: WorkerScript,
  cause: unknown,
  blockingDirective: () => string | undefined,
): Promise<UploadError> {
  const refused = (detail: string) => explained({ code: "WORKER_REFUSED", detail }, { cause });
  const invalid = (detail: string) => explained({ code: "WORKER_SCRIPT_INVALID", detail }, { cause });

  const url = new URL(String(worker), document.baseURI);
  if (typeof worker === "string" && /TrustedScriptURL|Trusted ?Type/i.test(String(cause)))
    return refused(
      "this page requires Trusted Types: pass `worker` as what your policy's createScriptURL returns, not as a string",
    );
  if (url.origin !== location.origin)
    return refused(
      `${url.href} is of another origin than the page: serve the script from ${location.origin}`,
    );

  const answer = await scriptAnswer(url);
  const directive = blockingDirective();
  if (directive !== undefined)
    return refused(
      `the page's Content Security Policy does not let ${url.href} be a worker: allow 'self' in ${directive}`,
    );
  const wrong = wrongWith(url, answer);
  if (wrong !== undefined) return invalid(wrong);
  const allowed = answer?.scopeAllowed ?? new URL(".", url).pathname;
  const wanted = new URL(scope ?? ".", scope === undefined ? url : document.baseURI);
  if (!wanted.pathname.startsWith(allowed))
    return refused(
      `the scope ${wanted.pathname} is not below ${allowed}: move the script up, or send it with the header Service-Worker-Allowed: ${wanted.pathname}`,
    );
  if (cause instanceof TypeError)
    return invalid(`${url.href} fails as it runs for the first time: see the console, ${String(cause)}`);
  return refused(`it says: ${String(cause)}; check that the browser's settings allow site data here`);
}

/** What is wrong with how the script is served, and what mends it; undefined if nothing is. */
function wrongWith({ href }: URL, answer: ScriptAnswer | undefined): string | undefined {
  if (answer === undefined) return `${href} can't be fetched: check the network, and connect again`;
  if (answer.isRedirect)
    return `${href} is answered by a redirect, which browsers don't follow for workers: serve the script at its own URL`;
  if (answer.status !== 200)
    return `${href} is answered with ${answer.status}: deploy the script there, or correct the URL`;
  // https://mimesniff.spec.whatwg.org/#javascript-mime-type
  if (
    !/^(text|application)\/(x-)?(java|ecma)script\b|^text\/(javascript1\.[0-5]|jscript|livescript)\b/i.test(
      answer.type,
    )
  )
    return `${href} is served as "${answer.type}": serve it as text/javascript; HTML is often a server's fallback for files that are missing`;
  return undefined;
}
