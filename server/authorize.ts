import * as v from "valibot";
import { type ObjectSettings, objectSettings } from "../s3/object-settings.ts";
import { StorageFault } from "../src/core/storage.ts";

/** The operation that a request asks for, and on what. */
export type UploadIntent =
  | {
      readonly operation: "begin";
      /** The key that the client asks for. */
      readonly key: string;
      /** Bytes. */
      readonly size: number;
      /**
       * MIME type, "" where unknown. The object will be served as this: think of `text/html` in a public
       * bucket.
       */
      readonly type: string;
      /** File name, "" where unknown. As the client sent it: it may have line ends, or tags. */
      readonly name: string;
      /**
       * Metadata that the client wants the object to have; absent if none. The object gets it, unless the
       * permit's `object.metadata` says otherwise.
       */
      readonly metadata?: Readonly<Record<string, string>>;
    }
  | {
      /**
       * "relay": bytes that this server passes on to S3 itself. Refuse it where they should not go that way.
       */
      readonly operation: "sign" | "parts" | "complete" | "abort" | "relay";
      /** The object's key, as decided at `begin`. */
      readonly key: string;
      /** The owner, as decided at `begin`; absent if none was named. */
      readonly owner?: string;
      /** Bytes. */
      readonly size: number;
    };

export interface UploadPermit {
  /** The object's key. At `begin` it may be another than the client's; afterwards it must be `intent.key`. */
  readonly key: string;
  /**
   * Whom the upload belongs to, at most 256 characters, such as a user id. Whoever carries the upload on must
   * be named the same. The client can read it in its token.
   */
  readonly owner?: string;
  /** At `begin`: what the object gets besides its type, on top of the handler's `object`. @default nothing */
  readonly object?: ObjectSettings;
}

/**
 * Decides who may upload what. It is called on every request, so that a user who was signed out can't carry
 * on.
 *
 * To allow a request it returns the object's key, and to refuse one a `Response`: 401 (the client waits until
 * the user has signed in), 429 (it waits as long as it takes), 5xx (it tries again some times), 413 or 415
 * (the upload fails, for its size or its type), or anything else, such as 403 (it fails). Only the status and
 * `Retry-After` of that response reach the client.
 *
 * @param request method, URL, headers and signal are as they came. The body has been read already, or, for
 *   "relay", must not be: the bytes would be lost. A relayed request is asked about again before each of its
 *   parts.
 */
export type Authorize = (
  request: Request,
  intent: UploadIntent,
) => Promise<UploadPermit | Response> | UploadPermit | Response;

const MAX_OWNER_LENGTH = 256;

/**
 * @throws {StorageFault} if `authorize` refuses, fails, or allows something else than what the token is for
 */
export async function permit(
  authorize: Authorize,
  request: Request,
  intent: UploadIntent,
): Promise<UploadPermit> {
  let answer: UploadPermit | Response;
  try {
    answer = await authorize(request, intent);
  } catch (cause) {
    throw new StorageFault("transient", "SERVER_ERROR", { cause });
  }
  if (isResponse(answer)) throw refusal(answer);
  const { key, owner = "" } = answer;
  // An owner that is a number, say, would be lost on its way through the token.
  if (typeof key !== "string" || typeof owner !== "string" || owner.length > MAX_OWNER_LENGTH)
    throw new StorageFault("transient", "SERVER_ERROR", {
      cause: new TypeError(
        `authorize should return a key and an owner that are text, the owner of at most ${MAX_OWNER_LENGTH} characters`,
      ),
    });
  if (answer.object !== undefined && !v.is(objectSettings, answer.object))
    throw new StorageFault("transient", "SERVER_ERROR", {
      cause: new TypeError("authorize returned settings for the object that it can't have"),
    });
  if (intent.operation !== "begin" && (answer.key !== intent.key || answer.owner !== intent.owner))
    throw new StorageFault("permanent", "FORBIDDEN", { detail: "the upload belongs to someone else" });
  return answer;
}

// Recognised by its shape, since the app's framework may bring a Response class of its own.
function isResponse(answer: UploadPermit | Response): answer is Response {
  return "status" in answer && "headers" in answer;
}

function refusal(response: Response): StorageFault {
  const { status } = response;
  if (status === 401) return new StorageFault("unauthorized", "UNAUTHORIZED");
  if (status === 413) return new StorageFault("permanent", "FILE_TOO_LARGE");
  if (status === 415) return new StorageFault("permanent", "FILE_TYPE_REFUSED");
  if (status !== 429 && status < 500) return new StorageFault("permanent", "FORBIDDEN");
  const seconds = Number(response.headers.get("retry-after"));
  const code = status === 429 ? "RATE_LIMITED" : "SERVER_ERROR";
  return new StorageFault("transient", code, seconds > 0 ? { retryAfterMs: seconds * 1_000 } : {});
}
