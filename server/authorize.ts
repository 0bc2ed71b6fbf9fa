import * as v from "valibot";
import { type ObjectSettings, objectSettings } from "../s3/object-settings.ts";
import { StorageFault } from "../src/core/storage.ts";

/** The operation that a request asks for, and on what. */
export type UploadIntent =
  | {
      /** A new upload. */
      readonly operation: "begin";
      /** The key that the client asks for. */
      readonly key: string;
      /** The file's size in bytes. */
      readonly size: number;
      /**
       * MIME type, "" where unknown. The object will be served with this type: think of `text/html` in a public
       * bucket.
       */
      readonly type: string;
      /** The file's name as the client sent it, which may hold line breaks or HTML; "" where unknown. */
      readonly name: string;
      /**
       * Metadata that the client wants the object to have; absent if none. The object gets it, unless the
       * permit's `object.metadata` replaces it.
       */
      readonly metadata?: Readonly<Record<string, string>>;
    }
  | {
      /**
       * A call for an upload that has begun. "relay": bytes that this server passes on to S3 itself; refuse it
       * where bytes should not pass through this server.
       */
      readonly operation: "sign" | "parts" | "complete" | "abort" | "relay";
      /** The object's key, as decided at `begin`. */
      readonly key: string;
      /** The owner, as decided at `begin`; absent if none was named. */
      readonly owner?: string;
      /** The file's size in bytes. */
      readonly size: number;
      /**
       * Present, and true, where a worker asks for "sign", "parts" or "complete" with no page open, and so
       * without the user's headers: the upload's own token vouches for its owner (`unattendedSeconds`). A 401,
       * or a permit without owner, then allows the request; any other refusal refuses it, so look up by
       * `owner` whether this user may still upload if that can have changed.
       */
      readonly unattended?: true;
    };

/** What `authorize` returns to allow a request. */
export interface UploadPermit {
  /** The object's key. At `begin` it may differ from the client's; afterwards it must be `intent.key`. */
  readonly key: string;
  /**
   * The user to whom the upload belongs, such as a user id of at most 256 characters. All later requests of the
   * upload must be allowed with the same owner. The client can read it in its token.
   * @default none
   */
  readonly owner?: string;
  /** At `begin`: settings of the object, which take precedence over the handler's `object`. @default none */
  readonly object?: ObjectSettings;
  /**
   * At `begin`: whether the upload may go on and be completed by its token alone, within the handler's
   * `unattendedSeconds`. @default true
   */
  readonly unattended?: boolean;
}

/**
 * Decides who may upload what. It is called on every request, so that a user who was signed out can't
 * continue, but as `intent.unattended` says.
 *
 * To allow a request, return the object's key. To refuse one, return a `Response`: 401 or a redirect (the upload
 * waits until the user has signed in), 429 or 5xx (the client retries for as long as it takes), 413 or 415 (the upload
 * fails, for its size or its type), or anything else, such as 403 (the upload fails). Only the status and
 * `Retry-After` of that response reach the client. If the function throws, the client retries.
 *
 * @param request has the method, URL, headers and signal as they came. Don't read the body: it has been read
 *   already, or, for "relay", its bytes would be lost. A relayed request is authorized again before each of its
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
  const isVouchedFor = intent.operation !== "begin" && intent.unattended === true;
  if (isResponse(answer)) {
    // A redirect may have other reasons than a missing session, and is no permission.
    if (!isVouchedFor || answer.status !== 401) throw refusal(answer);
    answer = { key: intent.key };
  }
  const { key, owner = "" } = answer;
  // The token holds owners as text only: a number, for example, would be lost.
  if (typeof key !== "string" || typeof owner !== "string" || owner.length > MAX_OWNER_LENGTH)
    throw new StorageFault("transient", "SERVER_ERROR", {
      cause: new TypeError(
        `authorize must return key and owner as strings, the owner of at most ${MAX_OWNER_LENGTH} characters`,
      ),
    });
  if (answer.object !== undefined && !v.is(objectSettings, answer.object))
    throw new StorageFault("transient", "SERVER_ERROR", {
      cause: new TypeError("authorize returned invalid settings for the object"),
    });
  if (answer.unattended !== undefined && typeof answer.unattended !== "boolean")
    throw new StorageFault("transient", "SERVER_ERROR", {
      cause: new TypeError("authorize must return unattended as a boolean"),
    });
  if (intent.operation === "begin") return answer;
  const detail = "the upload belongs to someone else";
  if (answer.key !== intent.key) throw new StorageFault("permanent", "FORBIDDEN", { detail });
  const isOwners = answer.owner === intent.owner || (isVouchedFor && answer.owner === undefined);
  // Another user may have signed in before the worker hears of it: the upload waits for its own.
  if (!isOwners) throw new StorageFault("unauthorized", "FORBIDDEN", { detail });
  return answer;
}

// A response is recognised by its shape, since the app's framework may bring a class of its own.
function isResponse(answer: UploadPermit | Response): answer is Response {
  return "status" in answer && "headers" in answer;
}

function refusal(response: Response): StorageFault {
  const { status } = response;
  // A redirect leads to where one signs in.
  if (status === 401 || (status >= 300 && status < 400))
    return new StorageFault("unauthorized", "UNAUTHORIZED");
  if (status === 413) return new StorageFault("permanent", "FILE_TOO_LARGE");
  if (status === 415) return new StorageFault("permanent", "FILE_TYPE_REFUSED");
  if (status !== 429 && status < 500) return new StorageFault("permanent", "FORBIDDEN");
  const seconds = Number(response.headers.get("retry-after"));
  const code = status === 429 ? "RATE_LIMITED" : "SERVER_ERROR";
  return new StorageFault("transient", code, seconds > 0 ? { retryAfterMs: seconds * 1_000 } : {});
}
