import { UploadError, type UploadErrorCode, type UploadErrorWire } from "./errors.ts";

const MESSAGES: Readonly<Record<UploadErrorCode, string>> = {
  KEY_INVALID:
    "The object key is invalid. Use a key of 1 to 1,024 bytes without control characters and '..' segments.",
  FILE_TOO_LARGE:
    "The file is larger than the upload server or the storage allows. Split it, or raise the limit on the server.",
  FILE_TYPE_REFUSED: "The upload server does not allow files of this type. Pick a file of another type.",
  FILE_INVALID: "This is not a file that can be uploaded. Pass a File, a Blob or a FileSystemFileHandle.",
  FILE_UNREADABLE: "The browser can't read this file.",
  FILE_MISMATCH: "This is not the file that was added. Pick the same file again.",
  PART_SIZE_INVALID:
    "The part size is out of bounds. Leave it out, or choose one within the storage's limits.",
  OPTION_INVALID: "An option has an invalid value. See the documentation of the call.",
  NOT_SUPPORTED:
    "Service workers are not available on this page. Serve it over HTTPS (or from localhost) and use a current browser.",
  PROTOCOL_MISMATCH:
    "The page and its service worker have different versions. Reload the page; if that does not help, deploy both anew.",
  WORKER_UNREACHABLE:
    "The service worker does not answer. Reload the page; uploads that were added are kept.",
  WORKER_NOT_SERVING:
    "The service worker that is active here does not carry uploads. Call serveUploads at the top level of its script, and check that `worker` or `registration` is the one that does.",
  WORKER_REFUSED: "The browser refuses to register the service worker.",
  WORKER_SCRIPT_INVALID: "The service worker's script could not be loaded, run or installed.",
  WORKER_WAITING:
    "A new version of the service worker waits for the old one to end, which can't carry this page's uploads. Close all tabs of this app and open it again; self.skipWaiting() in the worker's install event makes that unnecessary.",
  CONNECTION_CLOSED:
    "This page has disconnected from its uploads by close(). They go on; connect again to follow or control them.",
  DATABASE_UNAVAILABLE:
    "The browser does not let this site store data (IndexedDB), so uploads can't be kept. Leave private browsing, or allow site data.",
  DATABASE_CLOSED:
    "The browser has closed the site's database. It will be reopened automatically; uploads are kept unless the site's data was deleted.",
  DATABASE_TOO_NEW:
    "A newer version of this app has changed the database. Reload the page to get that version.",
  OWNER_CHANGED: "Another user has signed in, in another tab. Reload the page.",
  UPLOAD_NOT_FOUND:
    "There is no upload with this id. It may have been removed in another tab, or belong to a user who has signed out.",
  STATE_INVALID: "The upload's state does not allow this.",
  QUOTA_EXCEEDED: "The device has no room to keep a copy of the file. Free some space and add it again.",
  FILE_LOST:
    "The browser can't read the file's bytes any more: it was moved, changed or deleted, is a folder, or was made by script beyond what the browser holds in memory. Pick the same file again.",
  FILE_PERMISSION:
    "The browser may no longer read the file. Ask the user to allow it again: call requestPermission on a click.",
  FILE_CHANGED: "The file was changed while it was being uploaded. Add it again.",
  CONDITIONS_UNMET:
    "The upload waits for the app's conditions, such as a time of day or an unmetered network. It will go on by itself.",
  CANCELED: "The upload was canceled.",
  REQUEST_INVALID:
    "The upload server refused the request as malformed. Check that the page and the server use the same version.",
  TOKEN_INVALID: "The upload's token is missing, invalid, or belongs to another upload. Add the file again.",
  TOKEN_EXPIRED: "The upload's token has expired. Add the file again.",
  UNAUTHORIZED: "The user is not signed in. The upload goes on after signing in.",
  FORBIDDEN:
    "The upload server or the storage does not allow this upload. Check the user's permissions and the bucket's policy.",
  UPLOAD_GONE: "The storage has dropped the unfinished upload. It will start again from its first byte.",
  PARTS_MISMATCH: "The storage does not hold the parts that were sent. They will be sent again.",
  VERIFICATION_FAILED:
    "The stored object is not the file that was sent. Retry, and check whether something else writes to this key.",
  STORAGE_RESPONSE_INVALID:
    "The storage's answer is invalid. Check that the bucket's CORS rules expose the ETag header.",
  SERVER_RESPONSE_INVALID:
    "The upload server's answer is invalid. Check the endpoint's URL and the server's version.",
  OBJECT_EXISTS:
    "There is already an object with this key, and the app does not allow replacing it. Add the file again under another key.",
  REQUEST_TOO_LARGE:
    "A proxy or middleware in front of the upload server refuses requests of this size. Raise its limit (a body parser such as express.json() must come after the upload handler). The upload will be retried.",
  RATE_LIMITED: "The upload server is limiting new uploads. This one will start when allowed.",
  SERVER_ERROR: "The upload server or the storage is failing at the moment. The upload will be retried.",
  SLOW_DOWN: "The storage asks for fewer requests. The upload will go on with fewer at once.",
  STALLED: "A part made no progress for too long. It will be sent again.",
  BAD_DIGEST: "A part was damaged on its way to the storage. It will be sent again.",
  STORAGE_UNREACHABLE:
    "The upload server answers, but the storage can't be reached, or refuses without CORS headers. Check the bucket's CORS rules, that the Content Security Policy sent with the worker's script allows the bucket's origin in connect-src, and whether this network allows requests to the storage. The upload will be retried.",
  CHECKSUM_UNAVAILABLE:
    "The worker can't compute the checksum that the upload was begun with. Keep serving the worker with that checksum until no such upload is left, and allow 'wasm-unsafe-eval' in its Content Security Policy.",
  INTERNAL:
    "Something unexpected went wrong inside the uploader. The upload will be retried; please report it.",
  NETWORK: "The network can't be reached at the moment. The upload will be retried.",
};

/** The sentence for people: what went wrong, what to do, and the detail. */
export function messageOf({ code, detail }: UploadErrorWire): string {
  const message = Object.hasOwn(MESSAGES, code) ? MESSAGES[code] : MESSAGES.INTERNAL;
  return detail ? `${message} (${detail})` : message;
}

/** An error that people may see. */
export function explained(wire: UploadErrorWire, options?: ErrorOptions): UploadError {
  const error = new UploadError(wire.code, wire.detail, options);
  error.message = messageOf(wire);
  return error;
}
