import { UploadError, type UploadErrorCode, type UploadErrorWire } from "./errors.ts";

const MESSAGES: Readonly<Record<UploadErrorCode, string>> = {
  KEY_INVALID:
    "The object key is not usable. Give a key of 1 to 1,024 bytes with no control characters and no '..' segment.",
  FILE_TOO_LARGE:
    "The file is larger than the upload server or the storage takes. Split it, or raise the limit on the server.",
  FILE_TYPE_REFUSED: "The upload server takes no files of this type. Pick one of another type.",
  FILE_INVALID: "This is not a file that can be uploaded. Pass a File or a Blob.",
  FILE_MISMATCH: "This is another file than the one that was added. Pick that one again.",
  PART_SIZE_INVALID:
    "The part size is out of bounds. Leave it out, or choose one that the storage's limits allow.",
  OPTION_INVALID: "An option has a value that makes no sense. See the documentation of the call.",
  NOT_SUPPORTED:
    "This browser has no service workers here. Serve the page by HTTPS (or localhost) and use a current browser.",
  PROTOCOL_MISMATCH: "The page and its service worker are of different versions. Reload the page.",
  WORKER_UNREACHABLE: "The service worker does not answer. Reload the page; uploads already added are kept.",
  CONNECTION_CLOSED:
    "This page has disconnected from its uploads by close(). They go on; connect again to follow or control them.",
  DATABASE_UNAVAILABLE:
    "The browser gives this site no database (IndexedDB), so uploads can't be kept. Leave private browsing, or allow site data.",
  DATABASE_CLOSED:
    "The browser has closed the site's database. It will be reopened automatically; uploads are kept unless the site's data was deleted.",
  DATABASE_TOO_NEW:
    "A newer version of this app has changed the database. Reload the page to get that version.",
  OWNER_CHANGED: "Another user has signed in meanwhile, in another tab. Reload the page.",
  UPLOAD_NOT_FOUND: "There is no upload with this id. It may have been removed in another tab.",
  STATE_INVALID: "The upload is not in a state that allows this.",
  QUOTA_EXCEEDED: "The device has no room to keep a copy of the file. Free some space and add it again.",
  FILE_LOST: "The browser no longer has the file's bytes. Pick the same file again.",
  FILE_PERMISSION:
    "The browser may no longer read the file. Let the user allow it again (requestPermission), on a click.",
  FILE_CHANGED: "The file was changed while it was uploaded. Add it again.",
  CONDITIONS_UNMET:
    "The app wants this upload to wait, for a time of day or for an unmetered network. It goes on by itself.",
  CANCELED: "The upload was canceled.",
  REQUEST_INVALID: "The upload server refused the request as malformed.",
  TOKEN_INVALID: "The upload's token is missing, forged or for something else. Add the file again.",
  TOKEN_EXPIRED: "The upload's token has expired. Add the file again.",
  UNAUTHORIZED: "The upload server wants the user to sign in.",
  FORBIDDEN: "The upload is not allowed, by the upload server or by the storage.",
  UPLOAD_GONE: "The storage has dropped the unfinished upload. It starts again from its first byte.",
  PARTS_MISMATCH: "The storage does not hold the parts that were sent. They are sent again.",
  VERIFICATION_FAILED:
    "The stored object is not the file that was sent. Retry, and check what else writes to this key.",
  STORAGE_RESPONSE_INVALID:
    "The storage's answer is not what it should be. Check that the bucket's CORS rules expose the ETag header.",
  SERVER_RESPONSE_INVALID:
    "The upload server's answer is not what it should be. Check the endpoint's URL and the server's version.",
  OBJECT_EXISTS:
    "Another object is there under this key, and the app does not let it be replaced. Add the file again under another key.",
  REQUEST_TOO_LARGE:
    "Something in front of the upload server refuses requests of this size. Raise its limit (a body parser such as express.json() must come after the upload handler). It will be retried.",
  RATE_LIMITED: "The upload server takes no more at the moment. The upload goes on when its turn comes.",
  SERVER_ERROR: "The upload server or the storage has a problem at the moment. It is tried again.",
  SLOW_DOWN: "The storage asks for fewer requests at the moment. It is tried again, with fewer at once.",
  STALLED: "A part did not get through in the time that a slow link needs. It is sent again.",
  BAD_DIGEST: "A part was damaged on its way, as the storage has noticed. It is sent again.",
  STORAGE_UNREACHABLE:
    "The upload server answers, but the storage can't be reached or refuses without saying so. Check the bucket's CORS rules, and whether this network lets requests to it pass. It is tried again.",
  CHECKSUM_UNAVAILABLE:
    "This worker can't make the checksum that the upload was begun with. It must be served with that one until no such upload is left, and its Content Security Policy must have 'wasm-unsafe-eval'.",
  INTERNAL: "Something unexpected went wrong inside the uploader. It is tried again; please report it.",
  NETWORK: "The network can't be reached at the moment. It is tried again.",
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
